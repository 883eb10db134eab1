"""Searching among 100,000 patients by name, over HTTP."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

from infra.bench.harness import Checks, Figure, Target, percentile
from infra.bench.load import Exchange, drive, request
from infra.bench.place import Place
from infra.bench.volume import insert_many

__all__ = ["run"]

_PATIENTS = 100_000
_SEARCHES = 250  # of each kind, per round
_ROUNDS = 5

Names = list[tuple[str, str]]
Query = Callable[[random.Random, Names], str]


def _begun(chance: random.Random, name: str) -> str:
    return name[: chance.randint(3, 5)]


def _both(chance: random.Random, names: Names) -> str:
    first, last = chance.choice(names)
    return f"{_begun(chance, first)} {_begun(chance, last)}"


_KINDS: dict[str, Query] = {
    "a last name's first letters": lambda chance, names: _begun(chance, chance.choice(names)[1]),
    "both names begun": _both,
    "both names in full": lambda chance, names: " ".join(chance.choice(names)),
    "one letter": lambda chance, _: chance.choice("abcdefghilmnoprstuvz"),
}


def run(place: Place) -> list[Figure]:
    """One searcher at a time, first pages of twenty, each found person's birth date decrypted."""
    names = insert_many(_PATIENTS)
    for table in ("patients", "patient_words", "subject_keys"):
        place.admin("patient_db").all(f"vacuum analyze {table}")
    port = place.serve("patient", ["patient"])
    token = place.token("00000000-0000-4000-8000-0000000000d1", "RECEPTIONIST")
    checks, p95s, by_kind = Checks(), [], {kind: [0.0] * 0 for kind in _KINDS}
    for number in range(_ROUNDS + 1):
        every: list[float] = []
        for kind, query in _KINDS.items():
            chance = random.Random(f"{kind} {number}")  # nosec B311
            load = drive(port, _searches(chance, query, names, token), connections=1)
            checks.operations += load.right + load.wrong
            checks.missed += load.wrong
            every += load.times
            if number:
                by_kind[kind] += load.times
        if number:
            p95s.append(percentile(every, 0.95) * 1000)
    place.end("patient")
    told = "; ".join(
        f"{kind} {percentile(times, 0.95) * 1000:.1f}" for kind, times in by_kind.items()
    )
    return [
        Figure(
            f"patient search at {_PATIENTS:,} patients over HTTP: p95 of each round",
            "-",
            "ms",
            p95s,
            [],
            Target("value", "at most", 20.0),
            checks,
            [f"p95 by kind of query (ms): {told}."],
        )
    ]


def _searches(chance: random.Random, query: Query, names: Names, token: str) -> Iterator[Exchange]:
    for _ in range(_SEARCHES):
        body = json.dumps({"query": query(chance, names)}).encode()
        # Whoever is searched for exists, so an empty page is a wrong answer.
        yield Exchange(
            request("POST", "/api/patients/search", token=token, body=body), b"200", b"patient_id"
        )
