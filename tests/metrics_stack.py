"""Figures of a service, read as Prometheus reads them, and counted from nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from shared import telemetry

__all__ = ["Sample", "anew_fixture", "parsed", "value_of"]

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (\S+)")
_SUFFIXES = ("_bucket", "_sum", "_count")

Sample = tuple[str, dict[str, str], float]


def parsed(text: str) -> dict[str, tuple[str, list[Sample]]]:
    """The families of an exposition: name -> (type, samples). AssertionError when malformed.

    The rules of https://prometheus.io/docs/instrumenting/exposition_formats/: each family in one
    block, HELP and TYPE before its samples, no series twice, histograms cumulative and complete.
    """
    assert text.endswith("\n")
    families: dict[str, tuple[str, list[Sample]]] = {}
    helped: set[str] = set()
    current = ""
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            current = line.split(" ", 3)[2]
            assert current not in helped, f"{current} has two blocks"
            helped.add(current)
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == current
            assert kind in {"counter", "gauge", "histogram"}
            families[name] = (kind, [])
            continue
        found = _SAMPLE.fullmatch(line)
        assert found is not None, f"not a sample: {line}"
        name, labels, value = found.groups()
        kind, samples = families[current]
        allowed = [current + suffix for suffix in _SUFFIXES] if kind == "histogram" else [current]
        assert name in allowed, f"{name} stands under {current}"
        pairs = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""))
        samples.append((name, pairs, float(value)))
    for name, (kind, samples) in families.items():
        series = [(each, tuple(sorted(labels.items()))) for each, labels, _ in samples]
        assert len(set(series)) == len(series), f"{name} has a series twice"
        if kind == "histogram":
            _check_histogram(name, samples)
    return families


def _check_histogram(name: str, samples: list[Sample]) -> None:
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    counts: dict[tuple[tuple[str, str], ...], float] = {}
    sums = set()
    for each, labels, value in samples:
        key = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
        if each == f"{name}_bucket":
            buckets.setdefault(key, []).append((float(labels["le"]), value))
        elif each == f"{name}_count":
            counts[key] = value
        else:
            sums.add(key)
    assert set(buckets) == set(counts) == sums
    for key, found in buckets.items():
        assert found == sorted(found), "buckets ascend, and so do their counts"
        assert [value for _, value in found] == sorted(value for _, value in found)
        assert (float("inf"), counts[key]) == found[-1]


def value_of(text: str, name: str, **labels: str) -> float | None:
    """The one sample of that name whose labels include ``labels``."""
    found = [
        value
        for _, samples in parsed(text).values()
        for each, has, value in samples
        if each == name and labels.items() <= has.items()
    ]
    assert len(found) < 2, f"{name} is ambiguous"
    return found[0] if found else None


def anew_fixture() -> Any:
    """A fixture of every test of the module: counting starts at nothing."""

    @pytest.fixture(autouse=True)
    def anew() -> None:
        telemetry._begin()

    return anew
