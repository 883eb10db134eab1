"""Personal data, declared once per service: export, erasure and its check derive from it.

A service names each table that holds personal data, how a row belongs to a person, what an export
shows of it and what an erasure does with it. Tables about nobody are named, too, so that a test
can tell a forgotten table from a harmless one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from shared import log
from shared.audit import record, visible, who
from shared.contracts.gdpr import GdprDataDeletion, GdprDataErased, Held
from shared.crypto import SHRED, Vault
from shared.db import Database, Row, Tx
from shared.errors import Conflict
from shared.holds import Hold, rules
from shared.personal import KIT, Personal, bound, bounds, remaining, removal, shown
from shared.wire import Statement

__all__ = [
    "NO_PERSONAL_DATA",
    "Erased",
    "ExportFile",
    "Hold",
    "PersonErased",
    "Personal",
    "Privacy",
    "alive",
    "guard",
]


_KNOWN = """
select erased, held, run, held_until is not null
       and (held_until < clock_timestamp() or retention is distinct from :rules) as due
  from erased_people where person_id = :person
"""


class PersonErased(Conflict):
    """This person was erased and does not come back."""


@dataclass(frozen=True, slots=True)
class ExportFile:
    """An original file about a person, as it goes into the archive of an export."""

    name: str
    """Unique within the service; ``/`` makes folders."""
    url: str
    """Where it can be fetched for some minutes, without more."""
    sha256: str
    """In hexadecimal."""
    size: int
    """In bytes."""


class Erased(NamedTuple):
    """What an erasure has come to in one service."""

    erased: dict[str, int]
    """Table -> rows."""
    held: list[Held]
    run: int
    """1, and more each time that something held was looked at again."""


@dataclass(frozen=True)
class Privacy:
    """All personal data of one service."""

    tables: Sequence[Personal] = ()
    """Rows that refer to others come before these."""
    impersonal: frozenset[str] = frozenset()
    """The service's tables that are about nobody."""
    outside: Callable[[Tx, UUID], Mapping[str, int]] | None = None
    """Erases what lies outside the database (objects, documents): what -> how many. It runs in the
    erasing transaction when the rows are gone, so that it can ask which are held, and may run
    again."""
    files: Callable[[Tx, UUID], list[ExportFile]] | None = None
    """The original files about a person, for the archive of an export."""

    emails: str | None = None
    """The SQL query for the person_id and email of everybody whose address it keeps in the clear:
    what auth has is right, and validators compare the others with it."""

    def __post_init__(self) -> None:
        """Raises ValueError where what a law holds would keep something else readable."""
        for holding in self.tables:
            for kept in self.tables:
                if kept.stays_sealed and _outlasts(holding, kept):
                    raise ValueError(
                        f"{holding.table} holds rows, and a held person's key stays with them:"
                        f" what an erasure leaves sealed in {kept.table} would stay readable"
                    )

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of records that it holds; RETENTION has to name them."""
        return frozenset(t.hold.kind for t in self.tables if t.hold is not None)

    def export(self, db: Database, vault: Vault, person: UUID) -> dict[str, list[dict[str, Any]]]:
        """Table -> the person's rows, readable, at one moment; audited. What is restricted is left
        out. Raises Unreadable."""

        def work(tx: Tx) -> dict[str, list[dict[str, Any]]]:
            if _hidden(tx, person):
                return {t.table: [] for t in self.tables if t.exported}
            row = tx.one("select version, wrapped from subject_keys where subject = :p", p=person)
            key = vault.subject(person, row["version"], row["wrapped"]) if row else None
            found = {t.table: shown(tx, t, person, key) for t in self.tables if t.exported}
            if any(found.values()):
                record(tx, person, "export", "everything")
            return found

        return db.transaction(work)

    def originals(self, db: Database, person: UUID) -> list[ExportFile]:
        """The original files about ``person``; audited. What is restricted is left out."""
        files = self.files
        if files is None:
            return []

        def work(tx: Tx) -> list[ExportFile]:
            if _hidden(tx, person):
                return []
            found = files(tx, person)
            if found:
                record(tx, person, "export", "files")
            return found

        return db.transaction(work)

    @staticmethod
    def lock(tx: Tx, person: UUID) -> None:
        """Wait until every message about ``person`` that is being handled is done, and every step
        of their sagas; no other one begins before this transaction ends. Comes before the locks of
        other rows, as in ``receive`` and in sagas."""
        tx.batch(*_locks(person))

    def erase(self, tx: Tx, person: UUID, erasure_id: UUID) -> Erased:
        """Erase ``person`` and leave a tombstone.

        Again, it returns what it returned at first, unless what was held may go by now or other
        rules hold it: then it does what is due.
        """
        by_rules, about = rules(self.kinds), {"person": person}
        holds = [table for table in self.tables if table.hold is not None]
        locks, known = _locks(person), Statement(_KNOWN, {**about, "rules": by_rules})
        # In one round trip; each sees what those before it did, or waited for.
        found = tx.batch(*locks, known, *(Statement(bounds(table), about) for table in holds))
        before, *last = [answer.rows[0] if answer.rows else None for answer in found[len(locks) :]]
        if before is not None and not before["due"]:
            held_still = [Held.model_validate(item) for item in before["held"]]
            return Erased(before["erased"], held_still, before["run"])
        looked = zip(holds, last, strict=True)
        holding = [held for table, row in looked if row and (held := bound(table, row))]
        removals = {t.table: removal(t) for t in self.tables if t.erase != "keep"} | KIT
        if not holding:
            # What is held stays readable until then, and its key with it.
            removals["subject_keys"] = SHRED
        done = tx.batch(*(Statement(sql, about) for sql in removals.values()))
        erased = {name: answer.count for name, answer in zip(removals, done, strict=True)}
        if self.outside is not None:
            erased |= self.outside(tx, person)
        for name, count in (before["erased"] if before else {}).items():
            erased[name] = erased.get(name, 0) + count
        now_held = [held for held, _ in holding]
        run: int = tx.value(
            "insert into erased_people (person_id, erasure_id, erased, held, held_until, retention)"
            " values (:person, :erasure, :erased::jsonb, :held::jsonb, :until, :rules)"
            " on conflict (person_id) do update set erased = excluded.erased,"
            " held = excluded.held, held_until = excluded.held_until,"
            " retention = excluded.retention, run = erased_people.run + 1 returning run",
            person=person,
            erasure=erasure_id,
            erased=json.dumps(erased),
            held=json.dumps([item.model_dump(mode="json") for item in now_held]),
            until=min((first for _, first in holding), default=None),
            rules=by_rules,
        )
        return Erased(erased, now_held, run)

    def answer(self, service: str, tx: Tx, event: GdprDataDeletion) -> None:
        """What every service but auth does when a person is to be erased."""
        self._tell(service, tx, event.patient_id, event.erasure_id, "everything")

    def release(self, service: str, db: Database) -> int:
        """Erase what was held until now, or is held by other rules now, and tell auth; how many
        people it was about. One whose erasure fails keeps none of the others waiting."""
        rows = db.all(
            "select person_id, erasure_id from erased_people where held_until < clock_timestamp()"
            " or (held_until is not null and retention is distinct from :rules)"
            " order by held_until limit 1000",
            rules=rules(self.kinds),
        )
        released = 0
        for row in rows:

            def work(tx: Tx, row: Row = row) -> None:
                self._tell(service, tx, row["person_id"], row["erasure_id"], "what was held")

            try:
                db.transaction(work, isolation="READ COMMITTED")
                released += 1
            except Exception as error:  # noqa: BLE001 -- it is due again the next time
                log.error("release_failed", exc=error, erasure_id=row["erasure_id"])
        return released

    def _tell(self, service: str, tx: Tx, person: UUID, erasure_id: UUID, what: str) -> None:
        """Erase, on record, and tell auth how much that was."""
        done = self.erase(tx, person, erasure_id)
        record(tx, person, "erase", what)
        tx.emit(
            GdprDataErased(
                erasure_id=erasure_id,
                service=service,
                erased=done.erased,
                held=done.held,
                run=done.run,
            )
        )

    def remains(self, db: Database, person: UUID) -> dict[str, int]:
        """Table -> rows that an erasure should have taken; empty when all is well."""
        found: dict[str, int] = {}
        for table in self.tables:
            if table.erase == "delete":
                row = db.one(remaining(table), person=person)
                if row and row["n"]:
                    found[table.table] = row["n"]
        return found


NO_PERSONAL_DATA = Privacy()


def guard(person: UUID) -> Statement:
    """Keeps an erasure of ``person`` waiting until this transaction ends. In a statement of its
    own, so that the next one (READ COMMITTED) sees the tombstone of one that was first."""
    return Statement(
        "select pg_advisory_xact_lock_shared(hashtextextended(:key, 0))", {"key": _lock(person)}
    )


def alive(tx: Tx, person: UUID) -> None:
    """Before the first row about ``person`` is made by a request, under READ COMMITTED.

    Raises PersonErased.
    """
    found = tx.batch(
        guard(person),
        Statement(
            "select exists (select from erased_people where person_id = :person) as erased",
            {"person": person},
        ),
    )
    if found[1].rows[0]["erased"]:
        raise PersonErased


def _lock(person: UUID) -> str:
    return f"person {person}"


def _locks(person: UUID) -> list[Statement]:
    return [
        Statement(
            "select pg_advisory_xact_lock(hashtextextended(:key, 0))", {"key": _lock(person)}
        ),
        Statement(
            "select from sagas where subject = :person and data is not null for update",
            {"person": person},
        ),
    ]


def _hidden(tx: Tx, person: UUID) -> bool:
    """Whether what is held about ``person`` is not to be seen by who acts now."""
    return not tx.value(f"select {visible(':person::uuid')}", person=person, **who())  # nosec B608


def _outlasts(holding: Personal, kept: Personal) -> bool:
    """Whether ``kept`` may have to be unreadable while ``holding`` keeps the key."""
    if holding.hold is None:
        return False
    return kept.hold is None or kept.hold.kind != holding.hold.kind
