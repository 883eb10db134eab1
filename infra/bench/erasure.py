"""The erasure of a person over all services, against the same rows deleted by bare SQL.

The people come from ``make seed-data``: each has a year in every service. No law holds anything
here, or there would be little to erase.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any
from uuid import UUID

from functions.xray.domain.model import person_folder
from infra import manifest
from infra.bench.harness import ROUNDS, Checks, Figure, Target, interleave, percentile
from infra.bench.place import Place
from infra.client import Client
from infra.local.settings import EXAMPLE_RETENTION
from infra.local.stack import Stack
from shared.db import Database, Tx
from shared.runtime import Service

__all__ = ["run"]

_PEOPLE = 15  # per round and side
_PATIENCE = 30.0  # seconds
_LOOK_EVERY = 0.01  # seconds; whoever asks more often takes the processor from who erases
_NOTHING_HELD = json.dumps({kind: {"days": 0, "reason": ""} for kind in EXAMPLE_RETENTION})
# What every service keeps about people besides tables of its own.
_KITS = (
    "delete from known_people where person_id = :person",
    "delete from idempotency_keys where person_id = :person",
    "delete from subject_keys where subject = :person",
)


def run(_place: Place) -> list[Figure]:
    """A platform of its own with fsync on, as ``make run`` starts it; one erasure at a time."""
    directory = Path(tempfile.mkdtemp(prefix="dentalhelp-erasure-"))
    environment = {"PASSWORD_COST": "low", "RETENTION": _NOTHING_HELD}  # nosec B105
    try:
        with Stack(directory, environment=environment) as stack:
            people = _People(stack)
            ours, theirs = interleave(people.erase, people.delete)
            people.verify()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    rows = ", ".join(f"{name} {fmean(found):.0f}" for name, found in people.rows.items())
    return [
        Figure(
            f"erasure of a person over {len(people.services)} services: request to the receipt",
            "the deletes alone, a transaction in each database",
            "ms",
            ours,
            theirs,
            Target("ratio", "at most", 5.0),
            people.checks,
            [
                f"Over all rounds ({len(people.times)} erasures): p50"
                f" {percentile(people.times, 0.5):.0f} ms, p99 {percentile(people.times, 0.99):.0f}"
                " ms (promised: p99 < 500).",
                f"Rows and objects erased of a person, on average: {rows}.",
            ],
        )
    ]


class _People:
    """People with a year in every service, and the ways to erase them."""

    def __init__(self, stack: Stack) -> None:
        self.services = [service for service in manifest.load() if service.privacy.tables]
        url = stack.cluster.admin_url
        self.dbs = {
            s.name: Database(url.replace("/postgres?", f"/{s.name}_db?")) for s in self.services
        }
        self.objects = stack.directory / "objects"
        self.client = Client(stack.url)
        login = {"email": stack.admin.email, "password": stack.admin.password}
        answer = self.client.call("POST", "/api/auth/login", login)
        self.token = str(answer.body["access_token"])
        self.checks = Checks()
        self.times: list[float] = []
        self.rows: dict[str, list[int]] = {service.name: [] for service in self.services}
        self._there = _seeded(stack, 2 * _PEOPLE * (ROUNDS + 1), self.dbs["patient"])
        self._erased: list[UUID] = []

    def erase(self, round_: int) -> float:
        """Milliseconds per person by the API, until every service has answered and there is a
        receipt."""
        times = []
        for person in self._next():
            began = time.perf_counter()
            answer = self.client.call(
                "POST", "/api/auth/erasures", {"patient_id": str(person)}, token=self.token
            )
            state = self._completed(str(answer.body["erasure_id"]))
            times.append((time.perf_counter() - began) * 1000)
            self._look(state)
            self._erased.append(person)
        if round_:
            self.times += times
        self.checks.operations += len(times)
        return fmean(times)

    def delete(self, _round: int) -> float:
        """Milliseconds per person for the same rows and objects in the same places, and nothing
        else."""
        people = self._next()
        began = time.perf_counter()
        for person in people:
            for service in self.services:
                self._delete(service, person)
            shutil.rmtree(self.objects / person_folder(person), ignore_errors=True)
        self.checks.operations += len(people)
        return (time.perf_counter() - began) * 1000 / len(people)

    def verify(self) -> None:
        """Whatever is left of an erased person was missed."""
        slots = "select count(*) as n from slots_taken where patient_id = :person"
        for person in self._erased:
            left: Counter[str] = Counter()
            for service in self.services:
                left.update(service.privacy.remains(self.dbs[service.name], person))
            left["slots"] = self.dbs["appointment"].all(slots, person=person)[0]["n"]
            folder = self.objects / person_folder(person)
            left["objects"] = sum(path.is_file() for path in folder.rglob("*"))
            self.checks.missed += left.total()

    def _completed(self, erasure_id: str) -> dict[str, Any]:
        """What is told once there is a receipt."""
        path = f"/api/auth/erasures/{erasure_id}"
        until = time.monotonic() + _PATIENCE
        while True:
            state: dict[str, Any] = self.client.call("GET", path).body
            if state["receipt"] or time.monotonic() > until:
                return state
            time.sleep(_LOOK_EVERY)

    def _look(self, state: dict[str, Any]) -> None:
        """Every service has answered, holds nothing, and the receipt is there."""
        parts = state["services"]
        right = [
            parts.get(name, {}).get("state") == "ERASED" and not parts[name]["held"]
            for name in self.rows
        ]
        complete = state["status"] == "COMPLETED" and state["receipt"]
        self.checks.missed += right.count(False) + (not complete)
        for name, found in self.rows.items():
            found.append(sum(parts.get(name, {}).get("erased", {}).values()))

    def _delete(self, service: Service, person: UUID) -> None:
        def work(tx: Tx) -> None:
            for table in service.privacy.tables:
                if table.erase == "delete":
                    tx.run(f"delete from {table.table} where {table.mine}", person=person)  # nosec B608
            for sql in _KITS:
                tx.run(sql, person=person)

        self.dbs[service.name].transaction(work)

    def _next(self) -> Sequence[UUID]:
        people, self._there = self._there[:_PEOPLE], self._there[_PEOPLE:]
        return people


def _seeded(stack: Stack, count: int, patients: Database) -> list[UUID]:
    """The patients of a small group. Raises CalledProcessError."""
    own = {"URL": stack.url, "DATA": str(stack.directory), "COUNT": str(count)}
    admin = {"ADMIN_FILE": str(stack.directory / "admin.json")}
    command = [sys.executable, "-m", "infra.seed"]
    subprocess.run(command, env={**os.environ, **own, **admin}, check=True, stdout=sys.stderr)
    found = patients.all("select patient_id from patients order by md5(patient_id::text)")
    return [row["patient_id"] for row in found]
