"""What must hold in the databases of a platform when everything has been handled."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from infra import manifest
from infra.local.stack import Stack
from shared.db import Database, Row, Tx
from shared.errors import Unavailable
from shared.projection import Projector

__all__ = ["MAILS", "Ledgers", "ledgers_of"]

MAILS = "notification e-mails"
"""How ``under_way`` calls e-mails that have not left yet."""
_QUIET = 3  # looks in a row that find nothing

_OUTBOX = {"outbox": "select count(*) as n from outbox"}
_UNDER_WAY: dict[str, dict[str, str]] = {
    "auth": {
        "sagas": (
            "select count(*) as n from sagas where status in ('RUNNING', 'COMPENSATING')"
            " and subject not in (select person_id from erased_people)"
        ),
        "erasures": (
            "select count(*) as n from erasures"
            " where status in ('REQUESTED', 'RUNNING') or receipt is null and status <> 'FAILED'"
        ),
        **_OUTBOX,
    },
    "patient": _OUTBOX,
    "notification": {
        "e-mails": "select count(*) as n from deliveries where state = 'PENDING'",
        "inboxes": "select count(*) as n from inboxes where projected_version < version",
        **_OUTBOX,
    },
    "bus": {"messages": "select count(*) as n from delivery"},
}
_SAGAS = """
select s.subject, s.id, s.status,
       (select count(*) from saga_log l where l.saga_id = s.id and l.event = 'completed') as ends
  from sagas s where s.subject not in (select person_id from erased_people)
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
_LOOSE = {
    "auth": "not exists (select from users u where u.id = k.subject)",
    "patient": "not exists (select from patients p where p.patient_id = k.subject)",
    "notification": "not exists (select from inboxes i where i.person_id = k.subject)",
}
_LOOSE_KEYS = "select count(*) as n from subject_keys k where {nobody}"
_HELD_LEASES = """
select id, fence, due_at from deliveries
 where state = 'PENDING' and fence > 0 and due_at > clock_timestamp() + interval '12 seconds'
"""
_END_LEASE = """
update deliveries set due_at = clock_timestamp()
 where id = :id and fence = :fence and due_at = :due_at and state = 'PENDING'
"""
_WRONG_VIEWS = """
select i.person_id from inboxes i
  left join documents d on d.collection = 'inbox' and d.id = i.person_id::text
 where coalesce((d.data ->> 'unread')::int, 0) <>
       (select count(*) from notifications n where n.person_id = i.person_id and read_at is null)
"""
_HALF_ERASED = """
select e.person_id from erasures e where e.status <> 'COMPLETED' or exists
       (select from erasure_services s where s.erasure_id = e.id and s.state <> 'ERASED')
"""

_NONE: Mapping[str, Sequence[Projector]] = MappingProxyType({})


class Ledgers:
    """Reads the databases of a platform's services and, where there is one, of the bus."""

    def __init__(
        self,
        databases: Mapping[str, Database],
        projectors: Mapping[str, Sequence[Projector]] = _NONE,
    ) -> None:
        """``projectors``: those of each service whose read models are waited for."""
        self._databases, self.projectors = databases, projectors

    @property
    def services(self) -> list[str]:
        """Those that have people's data."""
        return [name for name in self._databases if name != "bus"]

    def database(self, service: str) -> Database:
        """One service's database."""
        return self._databases[service]

    def all(self, service: str, sql: str, /, **params: Any) -> list[Row]:
        """Rows of one service's database."""
        return self._databases[service].all(sql, **params)

    def transaction(self, service: str, work: Callable[[Tx], None]) -> None:
        """Run ``work`` in one service's database. Raises as ``Database.transaction``."""
        self._databases[service].transaction(work)

    def settle(self, timeout: float, *, hurry: bool = False, mails: bool = True) -> float:
        """Wait until nothing is under way; seconds it took. Raises TimeoutError.

        ``hurry``: an e-mail whose sender has died or sleeps is not waited for: its lease ends.
        ``mails`` False: e-mails need not leave.
        """
        started, quiet = time.monotonic(), 0
        leases: dict[tuple[Any, ...], float] = {}
        # Between two books something may be on its way unseen, but not for long.
        while quiet < _QUIET:
            left, now = self.under_way(), time.monotonic()
            if not mails:
                left.pop(MAILS, None)
            quiet = 0 if left else quiet + 1
            if left and now - started > timeout:
                raise TimeoutError(f"still under way: {left}")
            if hurry and MAILS in left:
                leases = self._end_leases(leases, now)
            time.sleep(0.05)
        return time.monotonic() - started

    def hand_over(self, timeout: float, *, hurry: bool = False) -> None:
        """Wait until no e-mail is under way. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        leases: dict[tuple[Any, ...], float] = {}
        while MAILS in self.under_way():
            if time.monotonic() > deadline:
                raise TimeoutError("e-mails are still under way")
            if hurry:
                leases = self._end_leases(leases, time.monotonic())
            time.sleep(0.05)

    def _end_leases(
        self, seen: Mapping[tuple[Any, ...], float], now: float
    ) -> dict[tuple[Any, ...], float]:
        """End the leases that have not moved for two seconds: sending takes much less."""
        held: dict[tuple[Any, ...], float] = {}
        for row in self.all("notification", _HELD_LEASES):
            lease = tuple(row.values())
            held[lease] = seen.get(lease, now)
            if now - held[lease] > 2:
                self.all("notification", _END_LEASE, **row)
        return held

    def under_way(self) -> dict[str, Any]:
        """What has not ended yet, and how much of it."""
        left: dict[str, Any] = {}
        try:
            for service in self._databases:
                for what, sql in _UNDER_WAY.get(service, _OUTBOX).items():
                    if count := self.all(service, sql)[0]["n"]:
                        left[f"{service} {what}"] = count
            for service, projectors in self.projectors.items():
                for each in projectors:
                    if each.lag(self._databases[service]) > 0:
                        left[f"{service} read models"] = each.projection.name
        except Unavailable:
            return {"PostgreSQL": "away"}
        return left

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
            "an erasure that is not complete": self._people("auth", _HALF_ERASED),
            "a live view that is wrong": self._people("notification", _WRONG_VIEWS),
        }
        found = [f"{what}: {sorted(map(str, who))}" for what, who in checks.items() if who]
        for service in self.services:
            found += self._leftovers(service)
        return found

    def _people(self, service: str, sql: str) -> set[Any]:
        return {row["person_id"] for row in self.all(service, sql)}

    def _leftovers(self, service: str) -> list[str]:
        found = []
        if service in _LOOSE:
            sql = _LOOSE_KEYS.format(nobody=_LOOSE[service])
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
    names = (*manifest.personal_services(), "bus")
    databases = {n: Database(admin.replace("/postgres?", f"/{n}_db?")) for n in names}
    return Ledgers(databases, {s.name: s.projections for s in manifest.load() if s.projections})
