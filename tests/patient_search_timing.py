"""How long a search takes: ``python -m tests.patient_search_timing [PATIENTS] [ROUNDS]``.

Loads 100,000 patients into a PostgreSQL of its own, then searches through the HTTP edge in this
process, kinds of queries interleaved, and prints the percentiles of each kind and of all
together, in milliseconds.
"""

from __future__ import annotations

import random
import shutil
import string
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from infra import migrate as migrations
from infra.local import postgres
from shared.db import Database
from tests import conftest as settings  # sets the environment
from tests.patient_stack import PatientStack, person
from tests.patient_volume import Person, load

__all__ = ["KINDS", "measure"]

Query = Callable[[random.Random, list[Person]], dict[str, Any]]


def _begin(chance: random.Random, name: str) -> str:
    return name[: chance.randint(3, 6)]


KINDS: dict[str, Query] = {
    "one letter": lambda chance, people: {"query": chance.choice(string.ascii_lowercase)},
    "two letters, two words": lambda chance, people: {
        "query": " ".join(chance.choice(string.ascii_lowercase) for _ in range(2))
    },
    "common first name": lambda chance, people: {"query": "maria"},
    "two common last names": lambda chance, people: {"query": "popescu ionescu"},
    "family name begun": lambda chance, people: {
        "query": _begin(chance, chance.choice(people).last_name)
    },
    "both names begun": lambda chance, people: _both(chance, chance.choice(people)),
    "both names": lambda chance, people: _whole(chance.choice(people)),
    "nobody": lambda chance, people: {"query": "maria qqq"},
    "e-mail": lambda chance, people: {"email": chance.choice(people).email},
}


def _both(chance: random.Random, one: Person) -> dict[str, Any]:
    return {"query": f"{_begin(chance, one.first_name)} {_begin(chance, one.last_name)}"}


def _whole(one: Person) -> dict[str, Any]:
    return {"query": f"{one.first_name} {one.last_name}"}


def measure(stack: PatientStack, people: list[Person], rounds: int) -> dict[str, list[float]]:
    """Sorted times (ms) of ``rounds`` searches of each kind; half of them go on to page two."""
    chance, by = random.Random(5), person("RECEPTIONIST")
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}

    def timed(kind: str, body: dict[str, Any]) -> dict[str, Any]:
        started = perf_counter()
        answer = stack.send("POST", "/search", body, by=by)
        times[kind].append((perf_counter() - started) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(answer.get_data(as_text=True))
        found: dict[str, Any] = answer.get_json()
        return found

    for number in range(rounds):
        for kind, query in KINDS.items():
            body = query(chance, people)
            cursor = timed(kind, body)["next_cursor"]
            if number % 2 and cursor is not None:
                timed(kind, {**body, "cursor": cursor})
    return {kind: sorted(found) for kind, found in times.items()}


def _main(patients: int, rounds: int) -> None:
    directory = Path(tempfile.mkdtemp(prefix="dentalhelp-search-"))
    cluster = postgres.start(directory / "data", {"fsync": "off"})
    try:
        made = postgres.create_service_database(
            cluster, "patient_db", "patient", password="runtime", owner_password="owner"
        )
        migrations.migrate(made.owner_url, "patient")
        stack = PatientStack(made.url)
        started = perf_counter()
        people = load(stack.db, patients, seed=3)
        print(f"{patients} patients loaded in {perf_counter() - started:.0f} s")  # noqa: T201
        # As autovacuum leaves the tables some minutes after such a load.
        owner = Database(made.owner_url)
        owner.all("vacuum analyze")
        owner.close()
        measured = measure(stack, people, rounds)
        together = sorted(time for times in measured.values() for time in times)
        for kind, times in {**measured, "all": together}.items():
            at = [times[int(len(times) * share)] for share in (0.5, 0.95, 0.99)]
            print(  # noqa: T201
                f"{kind:24} n={len(times):5}  p50 {at[0]:6.2f}  p95 {at[1]:6.2f}"
                f"  p99 {at[2]:6.2f}  max {times[-1]:6.2f}"
            )
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    assert settings
    _main(*(int(text) for text in (*sys.argv[1:], *("100000", "300")[len(sys.argv) - 1 :])))
