"""The erasure of a person over all services, against the same rows deleted by bare SQL."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from infra import manifest
from infra.bench.harness import Checks, Figure, Target, interleave, percentile
from infra.bench.place import Place
from infra.client import Client
from infra.local.stack import Stack
from shared.db import Database, Tx
from shared.runtime import Service

__all__ = ["run"]

_PEOPLE = 20  # per round and side
_PATIENCE = 30.0  # seconds
_SETTLED = "select count(*) as n from sagas where status not in ('COMPLETED', 'FAILED')"


def run(_place: Place) -> list[Figure]:
    """A platform of its own with fsync on, as ``make run`` starts it; one erasure at a time."""
    directory = Path(tempfile.mkdtemp(prefix="dentalhelp-erasure-"))
    try:
        with Stack(directory, environment={"PASSWORD_COST": "low"}) as stack:  # nosec B105
            people = _People(stack)
            ours, theirs = interleave(people.erase, people.delete)
            people.verify()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    services = len(people.services)
    return [
        Figure(
            f"erasure of a person over {services} services: request to the last answer",
            "the deletes alone, a transaction in each database",
            "ms",
            ours,
            theirs,
            Target("ratio", "at most", 5.0),
            people.checks,
            [
                f"Over all rounds ({len(people.times)} erasures): p50"
                f" {percentile(people.times, 0.5):.0f} ms, p99 {percentile(people.times, 0.99):.0f}"
                " ms (promised: p99 < 500). The target speaks of seven services.",
            ],
        )
    ]


class _People:
    """Registers people, and erases them in one way or the other."""

    def __init__(self, stack: Stack) -> None:
        self.services = [service for service in manifest.load() if service.privacy.tables]
        url = stack.cluster.admin_url
        self.dbs = {
            s.name: Database(url.replace("/postgres?", f"/{s.name}_db?")) for s in self.services
        }
        self.client = Client(stack.url)
        login = {"email": stack.admin.email, "password": stack.admin.password}
        answer = self.client.call("POST", "/api/auth/login", login)
        self.token = str(answer.body["access_token"])
        self.checks = Checks()
        self.times: list[float] = []
        self._number = 0
        self._erased: list[UUID] = []

    def erase(self, round_: int) -> float:
        """Milliseconds per person by the API, until every service has answered."""
        times = []
        for person in self._register():
            began = time.perf_counter()
            answer = self.client.call(
                "POST", "/api/auth/erasures", {"patient_id": str(person)}, token=self.token
            )
            path = f"/api/auth/erasures/{answer.body['erasure_id']}"
            while self.client.call("GET", path).body["status"] != "COMPLETED":
                if time.perf_counter() - began > _PATIENCE:
                    self.checks.missed += 1
                    break
                time.sleep(0.001)
            times.append((time.perf_counter() - began) * 1000)
            self._erased.append(person)
        if round_:
            self.times += times
        self.checks.operations += len(times)
        return sum(times) / len(times)

    def delete(self, _round: int) -> float:
        """Milliseconds per person for the same rows in the same databases, and nothing else."""
        people = self._register()
        began = time.perf_counter()
        for person in people:
            for service in self.services:
                self._delete(service, person)
        self.checks.operations += len(people)
        return (time.perf_counter() - began) * 1000 / len(people)

    def verify(self) -> None:
        """Whatever is left of an erased person was missed."""
        for person in self._erased:
            for service in self.services:
                self.checks.missed += sum(
                    service.privacy.remains(self.dbs[service.name], person).values()
                )

    def _delete(self, service: Service, person: UUID) -> None:
        def work(tx: Tx) -> None:
            for table in service.privacy.tables:
                if table.erase == "delete":
                    tx.run(f"delete from {table.table} where {table.mine}", person=person)  # nosec B608
            tx.run("delete from subject_keys where subject = :person", person=person)

        self.dbs[service.name].transaction(work)

    def _register(self) -> Sequence[UUID]:
        made = []
        for _ in range(_PEOPLE):
            self._number += 1
            body = {
                "email": f"erased.{self._number}@example.com",
                "password": secrets.token_urlsafe(18),
                "first_name": "Ana",
                "last_name": "Popescu",
            }
            answer = self.client.call("POST", "/api/auth/register", body)
            made.append(UUID(answer.body["patient_id"]))
        until = time.monotonic() + _PATIENCE
        while self.dbs["auth"].all(_SETTLED)[0]["n"] and time.monotonic() < until:
            time.sleep(0.01)
        return made
