"""What must hold in the databases of a platform when everything has been handled."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from infra.local.stack import Stack
from shared.db import Database, Row, Tx
from shared.errors import Unavailable

__all__ = ["Ledgers", "ledgers_of"]

_UNDER_WAY = """
select (select count(*) from sagas where status in ('RUNNING', 'COMPENSATING')) as sagas,
       (select count(*) from outbox) as outbox
"""
_SAGAS = """
select s.subject, s.id, s.status,
       (select count(*) from saga_log l where l.saga_id = s.id and l.event = 'completed') as ends
  from sagas s
"""
_USERS = """
select u.id, u.email, u.status, u.version,
       exists (select from subject_keys k where k.subject = u.id) as keyed
  from users u where exists
       (select from user_roles r where r.user_id = u.id and r.role = 'PATIENT')
"""
_PATIENTS = """
select p.patient_id as id, p.email, p.email_version,
       exists (select from subject_keys k where k.subject = p.patient_id) as keyed,
       exists (select from patient_anamnesis a where a.patient_id = p.patient_id) as told
  from patients p
"""
# Keys of nobody: halves of something.
_LOOSE_AUTH = """
select count(*) as n from subject_keys k
 where not exists (select from users u where u.id = k.subject)
"""
_LOOSE_PATIENT = """
select count(*) as n from subject_keys k
 where not exists (select from patients p where p.patient_id = k.subject)
"""


class Ledgers:
    """Reads the databases of auth, patient and, where there is one, the bus."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._databases = databases

    def all(self, service: str, sql: str) -> list[Row]:
        """Rows of one service's database."""
        return self._databases[service].all(sql)

    def transaction(self, service: str, work: Callable[[Tx], None]) -> None:
        """Run ``work`` in one service's database. Raises as ``Database.transaction``."""
        self._databases[service].transaction(work)

    def settle(self, timeout: float) -> float:
        """Wait until nothing is under way; seconds it took. Raises TimeoutError."""
        started = time.monotonic()
        while left := self._under_way():
            if time.monotonic() - started > timeout:
                raise TimeoutError(f"still under way: {left}")
            time.sleep(0.05)
        return time.monotonic() - started

    def _under_way(self) -> dict[str, Any]:
        left: dict[str, Any] = {}
        try:
            left |= {f"auth {k}": n for k, n in self.all("auth", _UNDER_WAY)[0].items()}
            left["patient outbox"] = self.all("patient", _UNDER_WAY)[0]["outbox"]
            if "bus" in self._databases:
                left["bus"] = self.all("bus", "select count(*) as n from delivery")[0]["n"]
        except Unavailable:
            return {"PostgreSQL": "away"}
        return {name: n for name, n in left.items() if n}

    def faults(self) -> list[str]:
        """Everything that is lost, doubled, half-written or different in two places."""
        sagas = {row["subject"]: row for row in self.all("auth", _SAGAS)}
        users = {row["id"]: row for row in self.all("auth", _USERS)}
        patients = {row["id"]: row for row in self.all("patient", _PATIENTS)}
        done = {subject for subject, saga in sagas.items() if saga["status"] == "COMPLETED"}
        checks: dict[str, set[Any]] = {
            "a saga that has not ended": {
                s["id"] for s in sagas.values() if s["status"] not in ("COMPLETED", "FAILED")
            },
            "a saga completed twice": {s["id"] for s in sagas.values() if s["ends"] > 1},
            "a registration without its account": done - users.keys(),
            "a registration without its profile": done - patients.keys(),
            "an account of a failed registration": users.keys() - done,
            "a profile of a failed registration": patients.keys() - done,
            "an account that is not ACTIVE": {
                u["id"] for u in users.values() if u["status"] != "ACTIVE"
            },
            "an account or a profile without its key": {
                row["id"] for row in (*users.values(), *patients.values()) if not row["keyed"]
            },
            "a profile without an anamnesis": {p for p, row in patients.items() if not row["told"]},
            "another address than in auth": {
                p for p, row in patients.items() if p in users and row["email"] != users[p]["email"]
            },
            "an address from the future": {
                p
                for p, row in patients.items()
                if p in users and row["email_version"] > users[p]["version"]
            },
        }
        found = [f"{what}: {sorted(map(str, who))}" for what, who in checks.items() if who]
        for service, sql in {"auth": _LOOSE_AUTH, "patient": _LOOSE_PATIENT}.items():
            if count := self.all(service, sql)[0]["n"]:
                found.append(f"keys of nobody in {service}: {count}")
            for letter in self.all(service, "select event_type, reason from dead_letters"):
                found.append(f"a dead letter in {service}: {letter}")
        return found

    def close(self) -> None:
        """Hang up."""
        for database in self._databases.values():
            database.close()


def ledgers_of(stack: Stack) -> Ledgers:
    """The databases of a running platform, read as the superuser."""
    admin = stack.cluster.admin_url
    names = ("auth", "patient", "bus")
    return Ledgers({n: Database(admin.replace("/postgres?", f"/{n}_db?")) for n in names})
