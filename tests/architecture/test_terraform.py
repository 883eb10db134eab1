"""The description of the cloud is typed, described, free of names, and asks for one provider."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.manifest import ROOT, service_names

_FILES = sorted((ROOT / "terraform").rglob("*.tf"))
_BLOCK = re.compile(r'^(variable|output) "([a-z_]+)" \{\n(.*?)^\}', re.M | re.S)
_SKIP = re.compile(r"checkov:skip=(CKV2?_[A-Z]+_\d+): (.+)")


def _ids(file: Path) -> str:
    return str(file.relative_to(ROOT / "terraform"))


@pytest.mark.parametrize("file", _FILES, ids=_ids)
def test_every_variable_and_output_is_described(file: Path) -> None:
    """Variables have a type and a sentence, outputs a sentence: what an editor shows."""
    for kind, name, body in _BLOCK.findall(file.read_text("utf-8")):
        assert re.search(r'^  description = ".+\."$', body, re.M), f"{kind} {name}"
        if kind == "variable":
            assert re.search(r"^  type +=", body, re.M), f"{kind} {name}"


@pytest.mark.parametrize("file", _FILES, ids=_ids)
def test_no_service_is_named(file: Path) -> None:
    """Whatever depends on a service follows from the manifest: a new one is never forgotten."""
    words = set(re.findall(r'"([a-z_]+)"', file.read_text("utf-8")))
    assert set() == words & set(service_names())


def test_every_exception_from_a_policy_is_justified() -> None:
    """Where checkov is not followed, the reason stands beside it."""
    found = [skip for file in _FILES for skip in _SKIP.findall(file.read_text("utf-8"))]
    marks = sum(file.read_text("utf-8").count("checkov:skip") for file in _FILES)
    assert marks == len(found)
    assert [] == [name for name, reason in found if len(reason.split()) < 5]


def test_one_provider_is_asked_for() -> None:
    """The google provider in the range that is tested, and no other."""
    text = "".join(file.read_text("utf-8") for file in _FILES)
    assert ["hashicorp/google"] == re.findall(r'source\s+= "(hashicorp/[a-z-]+)"', text)
    assert 'version = ">= 6.50, < 8.0"' in text
    kinds = set(re.findall(r'^(?:resource|data) "([a-z0-9_]+)"', text, re.M))
    assert kinds
    assert set() == {kind for kind in kinds if not kind.startswith("google_")}


def test_modules_are_flat() -> None:
    """A module calls no other: one look at main.tf shows how everything hangs together."""
    inner = [file for file in _FILES if "modules" in file.parts]
    assert inner
    assert [] == [_ids(file) for file in inner if re.search(r"^module ", file.read_text(), re.M)]


def test_files_of_the_description_are_short() -> None:
    """A file that passes 300 lines is asking to be two ideas."""
    long = {_ids(file) for file in _FILES if len(file.read_text().splitlines()) > 300}
    assert set() == long
