"""The state after so many facts, kept so that a long stream need not be read from its beginning.

A snapshot is a copy that may be thrown away at any time. It is sealed for the person whom the facts
are about and goes when the person's key goes. It names by a fingerprint the code that made it, and
other code does not look at it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from shared.audit import visible
from shared.crypto import Subject, Unreadable
from shared.db import Row, Tx
from shared.eventstore_sql import COLUMNS, answer
from shared.messages import Message

__all__ = ["Kept", "Snapshot", "keep", "kept", "tail_sql"]

S = TypeVar("S")

_TAIL = """
with snapshot as materialized (
  select version, person_id, state, sealed from snapshots
   where category = :category and id = :id and fingerprint = :fingerprint{snapshot_until}
     and (person_id is null or {seen})),
chosen as materialized (
  select {columns} from events
   where category = :category and id = :id{until}
     and version > coalesce((select version from snapshot), 0))
{answer}, (select json_build_array(version, person_id, state::text, sealed)
             from snapshot)::text as snapshot
"""
_PEOPLE = "select person_id from chosen union all select person_id from snapshot"
_UNTIL = " and version <= :until_version"

# The lock keeps the key until this commits, so that a snapshot never outlives it.
_KEEP = """
with key as (select subject from subject_keys where subject = :person for key share)
insert into snapshots (category, id, version, fingerprint, person_id, state, sealed)
select :category::text, :id::uuid, :version::integer, :fingerprint::text, :person::uuid,
       :state::jsonb, :sealed::bytea
 where :person::uuid is null or exists (select from key)
on conflict (category, id) do update
   set version = excluded.version, fingerprint = excluded.fingerprint,
       person_id = excluded.person_id, state = excluded.state, sealed = excluded.sealed,
       taken_at = clock_timestamp()
 where snapshots.version < excluded.version or snapshots.fingerprint <> excluded.fingerprint
"""


@dataclass(frozen=True)
class Snapshot(Generic[S]):
    """How a fold's state is kept. The fold must depend on nothing but its arguments."""

    state: type[S]
    """Whatever pydantic writes as JSON and reads back equal."""
    every: int = 100
    """A new one is taken when a load inside a transaction had to apply this many facts."""
    fold: int = 1
    """Raise it when the fold means something else and neither its own code nor the shape of the
    state shows it: when a function that it calls was changed."""

    @property
    def _kind(self) -> Any:
        return self.state

    def write(self, state: S) -> bytes:
        """``state`` as JSON."""
        return _adapter(self._kind).dump_json(state)

    def read(self, text: bytes) -> S:
        """What ``write`` was given."""
        state: S = _adapter(self._kind).validate_json(text)
        return state

    def fingerprint(self, apply: Callable[..., S], known: Mapping[str, type[Message]]) -> str:
        """What must be the same for a snapshot to be what replaying would give."""
        versions = sorted((name, fact.schema_version) for name, fact in known.items())
        shape = _shape(self._kind)
        return _fingerprint(self.fold, shape, getattr(apply, "__code__", None), tuple(versions))


@dataclass(frozen=True, slots=True)
class Kept:
    """A state as JSON."""

    version: int
    people: frozenset[UUID]
    """Whom the facts are about: nobody, or one."""
    state: bytes


def tail_sql(*, until: bool) -> str:
    """A stream's snapshot and the facts behind it, in one statement, which takes
    ``audit_lifted`` as ``history_sql`` does."""
    return _TAIL.format(
        columns=COLUMNS,
        until=_UNTIL if until else "",
        snapshot_until=_UNTIL if until else "",
        seen=visible("person_id"),
        answer=answer("version", people=_PEOPLE, restricted=True),
    )


def kept(
    row: Row, category: str, stream: UUID, fingerprint: str, keys: Mapping[UUID, Subject]
) -> Kept | None:
    """The snapshot in the answer to ``tail_sql``. Raises Unreadable if it is not what was kept."""
    if row.get("snapshot") is None:
        return None
    version, person, state, sealed = from_json(row["snapshot"])
    if person is None:
        return Kept(version, frozenset(), state.encode())
    key = keys.get(UUID(person))
    if key is None:
        raise Unreadable
    bound = _binding(category, stream, version, fingerprint)
    return Kept(version, frozenset({UUID(person)}), key.open(bound, bytes.fromhex(sealed[2:])))


def keep(tx: Tx, category: str, stream: UUID, fingerprint: str, taken: Kept) -> None:
    """Keep ``taken``, unless a newer one is there, or it cannot be sealed for the one person whom
    it is about."""
    sealed, state, person = None, taken.state.decode(), next(iter(taken.people), None)
    if person is not None:
        key = tx.keys.get(person)
        if key is None or len(taken.people) > 1:
            return
        sealed = key.seal(_binding(category, stream, taken.version, fingerprint), state)
    tx.run(
        _KEEP,
        category=category,
        id=stream,
        version=taken.version,
        fingerprint=fingerprint,
        person=person,
        state=state if sealed is None else None,
        sealed=sealed,
    )


def _binding(category: str, stream: UUID, version: int, fingerprint: str) -> str:
    return f"snapshot {category} {stream} {version} {fingerprint}"


@cache
def _adapter(state: Any) -> TypeAdapter[Any]:
    return TypeAdapter(state)


@cache
def _shape(state: Any) -> bytes:
    return to_json(_adapter(state).json_schema())


@cache
def _fingerprint(
    fold: int, shape: bytes, code: CodeType | None, versions: Sequence[tuple[str, int]]
) -> str:
    parts = [fold, shape.decode(), versions, list(_code(code)) if code else None]
    return hashlib.sha256(to_json(parts)).hexdigest()


def _code(code: CodeType) -> Iterator[str]:
    """What a function does, the same in every process that runs the same code."""
    yield code.co_code.hex()
    yield repr(code.co_names)
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _code(value)
        elif isinstance(value, frozenset):
            yield repr(sorted(map(repr, value)))
        else:
            yield repr(value)
