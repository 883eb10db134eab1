"""Facts in streams: appended in the caller's transaction, never changed, read in one order.

A stream is one thing's history (a patient's record, an account); its facts are numbered 1, 2, 3.
Whoever appends says which version it has seen, and an append that was overtaken raises. Personal
fields are sealed with the person's key: deleting the key erases them for ever, while the facts'
number and order stay. docs/event-store.md shows how to model with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from pydantic_core import to_json

from shared.audit import lifted, who
from shared.crypto import Subject, Vault
from shared.db import Row, Tx, UniqueViolation
from shared.errors import StaleVersion
from shared.eventstore_sql import (
    APPEND,
    READ_EVERY,
    READ_SOME,
    WHY_NOT,
    Cursor,
    Recorded,
    binding,
    decoded,
    history_sql,
)
from shared.messages import Message
from shared.privacy import PersonErased, alive
from shared.snapshots import Kept, Snapshot, keep, kept, tail_sql
from shared.wire import SqlError

__all__ = ["START", "Cursor", "EventStore", "Fact", "Recorded", "Snapshot", "Source", "Stream"]

S = TypeVar("S")

START = Cursor(0, 0, 0)
"""Before the first event."""


class Fact(Message):
    """Base of what is stored: named in the past tense, with fields as a message has them
    (``personal()``, ``schema_version``, ``upcasters``). Fields are only ever added."""

    @classmethod
    def topic(cls) -> str:
        """Raises TypeError: a fact is stored; what others are to hear is a message."""
        raise TypeError(f"{cls.__name__} is stored, not published")


@dataclass(frozen=True, slots=True)
class Stream:
    """One thing's history. ``person``: whom it is about, if it is about somebody."""

    category: str
    id: UUID
    person: UUID | None = None


class Source(Protocol):
    """What facts are read from: a Database (a snapshot of its own) or an open Tx."""

    def one(self, sql: str, /, **params: Any) -> Row | None:
        """The first row, or None."""
        ...


class EventStore:
    """The facts of one service. Cheap to make; safe to share between threads."""

    def __init__(self, vault: Vault | Callable[[], Vault], facts: Sequence[type[Fact]]) -> None:
        """``vault`` may be a function, so that a module can make a store before there is any
        setting. Raises ValueError for two facts of one name."""
        self._vault = vault if callable(vault) else lambda: vault
        self._known: dict[str, type[Message]] = {fact.type_name(): fact for fact in facts}
        if len(self._known) != len(facts):
            raise ValueError("two facts have the same name")
        self._facts = tuple(facts)

    def under(self, vault: Vault) -> EventStore:
        """The same facts under the keys of ``vault`` (tools that look from outside)."""
        return EventStore(vault, self._facts)

    def append(
        self,
        tx: Tx,
        stream: Stream,
        facts: Sequence[Fact],
        *,
        expected: int,
        effective_at: datetime | None = None,
    ) -> int:
        """Add ``facts`` behind version ``expected`` (0: a new stream), and return the new version.

        One round trip, and one for the person's key if this transaction has not read it yet. That
        is made if there is none, like any first row about a person under READ COMMITTED.
        ``effective_at``: from when on it is so, if not from now on.

        Raises StaleVersion if the stream is not at ``expected``, also when somebody else appends
        at this moment, and PersonErased. Either way the transaction has to end.
        """
        if not facts:
            return expected
        rows = self._rows(tx, stream, facts, expected)
        actor = who()
        params = {
            "category": stream.category,
            "id": stream.id,
            "person": stream.person,
            "actor": actor["audit_actor"],
            "correlation": actor["audit_correlation"],
            "effective": effective_at,
            "expected": expected,
            "facts": to_json(rows).decode(),
        }
        try:
            added: int = tx.value(APPEND, **params)
        except UniqueViolation:
            raise StaleVersion from None
        if added != len(facts):
            asked = ("category", "id", "person", "expected")
            why = tx.one(WHY_NOT, **{name: params[name] for name in asked}) or {}
            if why.get("too_early"):
                # A serialization failure: the transaction is run again, with a later id.
                raise SqlError({"C": "40001"})
            raise PersonErased if why.get("erased") else StaleVersion
        return expected + added

    def history(
        self,
        source: Source,
        stream: Stream,
        *,
        after_version: int | None = None,
        until_version: int | None = None,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
    ) -> list[Recorded]:
        """The facts of ``stream``, in one statement; all of them, or those that pass each filter.

        ``as_of``: what was so at that time, in the order in which it became so, however late we
        learned of it. ``known_at``: what we had recorded by then. The facts of somebody who was
        erased, as far as a law still holds them, are hidden as erased ones are, unless who acts
        may see them (``shared.audit.visible``).
        """
        filters = {
            "after_version": after_version,
            "until_version": until_version,
            "as_of": as_of,
            "known_at": known_at,
        }
        given = {name: value for name, value in filters.items() if value is not None}
        sql = history_sql(given)
        where = {"category": stream.category, "id": stream.id}
        return self._read(source, sql, **where, **given, audit_lifted=lifted())

    def load(
        self,
        source: Source,
        stream: Stream,
        initial: S,
        apply: Callable[[S, Recorded], S],
        *,
        until_version: int | None = None,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        snapshot: Snapshot[S] | None = None,
    ) -> tuple[S, int]:
        """``initial`` after each fact of ``history`` was applied, and the highest version among
        them (0 if there is none). An erased fact is passed on with ``fact=None``.

        With ``snapshot``, only the facts behind the last one are read, still in one statement, and
        a transaction takes a new one now and then. Times do without: they choose among all facts.
        """
        if snapshot is None or as_of is not None or known_at is not None:
            facts = self.history(
                source, stream, until_version=until_version, as_of=as_of, known_at=known_at
            )
            return _folded(initial, 0, facts, apply)
        mark = snapshot.fingerprint(apply, self._known)
        last, facts = self._tail(source, stream, mark, until_version)
        state = initial if last is None else snapshot.read(last.state)
        state, version = _folded(state, last.version if last else 0, facts, apply)
        if isinstance(source, Tx) and len(facts) >= snapshot.every:
            people = {event.person_id for event in facts if event.person_id is not None}
            people |= last.people if last else frozenset()
            taken = Kept(version, frozenset(people), snapshot.write(state))
            keep(source, stream.category, stream.id, mark, taken)
        return state, version

    def read_all(
        self,
        source: Source,
        after: Cursor,
        *,
        categories: Sequence[str] | None = None,
        limit: int,
    ) -> list[Recorded]:
        """The next ``limit`` events behind ``after``, of all streams or those of ``categories``.

        In the order (epoch, tx, pos), which puts a stream's facts in the order of their versions.
        What lies behind a transaction that is still open waits for its end, so that whoever goes
        on from the last event's cursor misses none and sees none twice.
        """
        params = {**after._asdict(), "tx": str(after.tx), "limit": limit}
        if categories is None:
            return self._read(source, READ_EVERY, **params)
        return self._read(source, READ_SOME, categories=sorted(set(categories)), **params)

    def _read(self, source: Source, sql: str, /, **params: Any) -> list[Recorded]:
        return self._decoded(source, source.one(sql, **params) or {})[0]

    def _tail(
        self, source: Source, stream: Stream, mark: str, until_version: int | None
    ) -> tuple[Kept | None, list[Recorded]]:
        """The last snapshot and the facts behind it."""
        until = {} if until_version is None else {"until_version": until_version}
        where = {"category": stream.category, "id": stream.id}
        asked = {**where, **until, "fingerprint": mark, "audit_lifted": lifted()}
        row = source.one(tail_sql(until=bool(until)), **asked) or {}
        found, keys = self._decoded(source, row)
        return kept(row, stream.category, stream.id, mark, keys), found

    def _decoded(self, source: Source, row: Row) -> tuple[list[Recorded], dict[UUID, Subject]]:
        found, keys = decoded(row, self._vault, self._known)
        if isinstance(source, Tx):
            source.keys |= keys
        return found, keys

    def _rows(
        self, tx: Tx, stream: Stream, facts: Sequence[Fact], expected: int
    ) -> list[dict[str, Any]]:
        rows = []
        for version, fact in enumerate(facts, expected + 1):
            kind, hidden = fact.type_name(), fact.personal_fields()
            if self._known.get(kind) is not type(fact):
                raise ValueError(f"{kind} is not among the facts of this store")
            data = fact.model_dump(mode="json")
            row = {"version": version, "type": kind, "schema_version": fact.schema_version}
            if hidden:
                secret = to_json({name: data.pop(name) for name in hidden}).decode()
                bound = binding(stream.category, stream.id, version, kind)
                sealed = self._key(tx, stream).seal(bound, secret) or b""
                row["sealed"] = sealed.hex()
            rows.append(row | {"data": data})
        return rows

    def _key(self, tx: Tx, stream: Stream) -> Subject:
        person = stream.person
        if person is None:
            raise ValueError("personal fields need a stream that is about a person")
        key = tx.keys.get(person)
        if key is None:
            row = tx.one(
                "select version, wrapped from subject_keys where subject = :person", person=person
            )
            if row is not None:
                key = self._vault().subject(person, row["version"], row["wrapped"])
            else:
                alive(tx, person)
                key = self._vault().new_subject(tx, person)
            tx.keys[person] = key
        return key


def _folded(
    state: S, version: int, facts: Sequence[Recorded], apply: Callable[[S, Recorded], S]
) -> tuple[S, int]:
    for event in facts:
        state, version = apply(state, event), max(version, event.version)
    return state, version
