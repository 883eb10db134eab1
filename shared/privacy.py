"""Personal data, declared once per service: export, erasure and its check derive from it.

A service names each table that holds personal data, how a row belongs to a person, what an export
shows of it and what an erasure does with it. Tables about nobody are named, too, so that a test
can tell a forgotten table from a harmless one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from pydantic_core import to_jsonable_python

from shared.audit import record
from shared.contracts.gdpr import GdprDataDeletion, GdprDataErased, Held
from shared.crypto import Subject, Vault, shred
from shared.db import Database, Row, Tx
from shared.errors import Conflict
from shared.wire import Statement

__all__ = ["NO_PERSONAL_DATA", "PersonErased", "Personal", "Privacy", "alive", "guard"]


class PersonErased(Conflict):
    """This person was erased and does not come back."""


@dataclass(frozen=True)
class Personal:
    """A table that holds personal data."""

    table: str
    person: str = "person_id"
    """The column with the person's id."""
    where: str | None = None
    """Where the table has no such column: the SQL condition on ``:person`` that finds the rows."""
    plain: Sequence[str] = ()
    """Columns that an export shows as they are."""
    sealed: Mapping[str, str] = field(default_factory=dict)
    """Columns sealed with the person's key -> the field name they were sealed as."""
    erase: Literal["delete", "anonymise", "keep"] = "delete"
    """``keep``: what is left names nobody once the rest is gone."""
    change: Mapping[str, str] = field(default_factory=dict)
    """For ``anonymise``: column -> the SQL expression it is set to."""
    until: str | None = None
    """SQL expression (timestamptz): rows with a later one are held, and erased then."""
    reason: str | None = None
    """Which law holds them."""
    show: Callable[[Tx, UUID], list[dict[str, Any]]] | None = None
    """Reads what an export shows where columns do not say it (shared/event_export.py)."""

    @property
    def mine(self) -> str:
        """The SQL condition that finds a person's rows."""
        return f"({self.where or f'{self.person} = :person'})"

    @property
    def stays_sealed(self) -> bool:
        """Whether an erasure leaves rows that only the loss of the key makes unreadable."""
        if self.erase == "keep":
            return bool(self.sealed) or self.show is not None
        return self.erase == "anonymise" and not self.sealed.keys() <= self.change.keys()


@dataclass(frozen=True)
class Privacy:
    """All personal data of one service."""

    tables: Sequence[Personal] = ()
    """Rows that refer to others come before these."""
    impersonal: frozenset[str] = frozenset()
    """The service's tables that are about nobody."""
    outside: Callable[[UUID], Mapping[str, int]] | None = None
    """Erases what lies outside the database (objects, documents): what -> how many. It runs before
    the commit and may run again."""

    def __post_init__(self) -> None:
        """Raises ValueError where what a law holds would keep something else readable."""
        for holding in self.tables:
            for kept in self.tables:
                if holding.until is not None and kept.stays_sealed and kept is not holding:
                    raise ValueError(
                        f"{holding.table} holds rows, and a held person's key stays with them:"
                        f" what an erasure leaves sealed in {kept.table} would stay readable"
                    )

    def export(self, db: Database, vault: Vault, person: UUID) -> dict[str, list[dict[str, Any]]]:
        """Table -> the person's rows, readable, at one moment; audited. Raises Unreadable."""

        def work(tx: Tx) -> dict[str, list[dict[str, Any]]]:
            row = tx.one("select version, wrapped from subject_keys where subject = :p", p=person)
            key = vault.subject(person, row["version"], row["wrapped"]) if row else None
            shown = {
                t.table: _shown(tx, t, person, key)
                for t in self.tables
                if t.plain or t.sealed or t.show
            }
            if any(shown.values()):
                record(tx, person, "export", "everything")
            return shown

        return db.transaction(work)

    @staticmethod
    def lock(tx: Tx, person: UUID) -> None:
        """Wait until every message about ``person`` that is being handled is done, and every step
        of their sagas; no other one begins before this transaction ends. Comes before the locks of
        other rows, as in ``receive`` and in sagas."""
        tx.batch(
            Statement(
                "select pg_advisory_xact_lock(hashtextextended(:key, 0))", {"key": _lock(person)}
            ),
            Statement(
                "select from sagas where subject = :person and data is not null for update",
                {"person": person},
            ),
        )

    def erase(self, tx: Tx, person: UUID, erasure_id: UUID) -> tuple[dict[str, int], list[Held]]:
        """Erase ``person`` and leave a tombstone: (table -> rows, what is held).

        Again, it returns what it returned at first, and erases what was held until now.
        """
        self.lock(tx, person)
        before = tx.one(
            "select erasure_id, erased, held, held_until < clock_timestamp() as due"
            " from erased_people where person_id = :person",
            person=person,
        )
        if before is not None and not before["due"]:
            return before["erased"], [Held.model_validate(item) for item in before["held"]]
        held: list[Held] = []
        for table in self.tables:
            held += _held(tx, table, person)
        removals = {t.table: _removal(t) for t in self.tables if t.erase != "keep"} | _KIT
        # In one round trip; each still sees what those before it did.
        done = tx.batch(*(Statement(sql, {"person": person}) for sql in removals.values()))
        erased = {name: answer.count for name, answer in zip(removals, done, strict=True)}
        if not held:
            # What is held stays readable until then, and its key with it.
            erased["subject_keys"] = int(shred(tx, person))
        if self.outside is not None:
            erased |= self.outside(person)
        for name, count in (before["erased"] if before else {}).items():
            erased[name] = erased.get(name, 0) + count
        tx.run(
            "insert into erased_people (person_id, erasure_id, erased, held, held_until)"
            " values (:person, :erasure, :erased::jsonb, :held::jsonb, :until)"
            " on conflict (person_id) do update set erased = excluded.erased,"
            " held = excluded.held, held_until = excluded.held_until",
            person=person,
            erasure=erasure_id,
            erased=json.dumps(erased),
            held=json.dumps([item.model_dump(mode="json") for item in held]),
            until=min((item.until for item in held), default=None),
        )
        return erased, held

    def answer(self, service: str, tx: Tx, event: GdprDataDeletion) -> None:
        """What every service but auth does when a person is to be erased."""
        self._tell(service, tx, event.patient_id, event.erasure_id, "everything")

    def release(self, service: str, db: Database) -> int:
        """Erase what was held until now, and tell auth; how many people it was about."""
        rows = db.all(
            "select person_id, erasure_id from erased_people"
            " where held_until < clock_timestamp() limit 100"
        )
        for row in rows:

            def work(tx: Tx, row: Row = row) -> None:
                self._tell(service, tx, row["person_id"], row["erasure_id"], "what was held")

            db.transaction(work, isolation="READ COMMITTED")
        return len(rows)

    def _tell(self, service: str, tx: Tx, person: UUID, erasure_id: UUID, what: str) -> None:
        """Erase, on record, and tell auth how much that was."""
        erased, held = self.erase(tx, person, erasure_id)
        record(tx, person, "erase", what)
        tx.emit(GdprDataErased(erasure_id=erasure_id, service=service, erased=erased, held=held))

    def remains(self, db: Database, person: UUID) -> dict[str, int]:
        """Table -> rows that an erasure should have taken; empty when all is well."""
        found: dict[str, int] = {}
        for table in self.tables:
            if table.erase == "delete":
                condition = f"{table.mine} and not ({_is_held(table)})"
                sql = _COUNT.format(table=table.table, rows=condition)
                row = db.one(sql, person=person)
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


# Filled in with what a declaration in the code says; people's values are always parameters.
_COUNT = "select count(*) as n from {table} where {rows}"
_LAST = "select max({until}) from {table} where {rows}"
_DELETE = "delete from {table} where {rows}"
_CHANGE = "update {table} set {assigned} where {rows}"
_SHOW = "select {columns} from {table} where {rows}"

# What the kit itself keeps about a person.
_KIT = {
    "dead_letters": "delete from dead_letters where refs @> array[:person::uuid]",
    "idempotency_keys": "delete from idempotency_keys where person_id = :person",
    "known_people": "delete from known_people where person_id = :person",
    "sagas": (
        "update sagas set data = null, held = '[]', status = 'FAILED', wake_at = null,"
        " lease_until = null, fence = fence + 1, error = 'person erased'"
        " where subject = :person and data is not null"
    ),
}


def _lock(person: UUID) -> str:
    return f"person {person}"


def _is_held(table: Personal) -> str:
    return "false" if table.until is None else f"coalesce({table.until} > now(), false)"


def _held(tx: Tx, table: Personal, person: UUID) -> Iterable[Held]:
    if table.until is None:
        return
    rows = f"{table.mine} and {_is_held(table)}"
    last = tx.value(_LAST.format(table=table.table, until=table.until, rows=rows), person=person)
    if last is not None:
        yield Held(what=table.table, reason=table.reason or "", until=last)


def _removal(table: Personal) -> str:
    condition = f"{table.mine} and not ({_is_held(table)})"
    if table.erase == "delete":
        return _DELETE.format(table=table.table, rows=condition)
    assigned = ", ".join(f"{column} = {value}" for column, value in table.change.items())
    return _CHANGE.format(table=table.table, assigned=assigned, rows=condition)


def _select(table: Personal) -> str:
    columns = ", ".join((*table.plain, *table.sealed))
    return _SHOW.format(table=table.table, columns=columns, rows=table.mine)


def _shown(tx: Tx, table: Personal, person: UUID, key: Subject | None) -> list[dict[str, Any]]:
    if table.show is not None:
        return table.show(tx, person)
    return [_readable(table, found, key) for found in tx.all(_select(table), person=person)]


def _readable(table: Personal, row: Row, key: Subject | None) -> dict[str, Any]:
    shown = {name: row[name] for name in table.plain}
    for column, name in table.sealed.items():
        shown[column] = None if key is None else key.unseal(name, row[column])
    readable: dict[str, Any] = to_jsonable_python(shown)
    return readable
