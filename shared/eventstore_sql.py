"""The event store's statements, and how their answers become facts.

PostgreSQL builds one JSON text for all rows of an answer. The driver would make Python objects of
every column of every row, which costs more than everything else about a long history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import from_json

from shared.audit import visible
from shared.crypto import Subject, Vault
from shared.messages import Message, UnknownType, read_json

__all__ = [
    "APPEND",
    "COLUMNS",
    "READ_EVERY",
    "READ_SOME",
    "WHY_NOT",
    "Cursor",
    "Recorded",
    "answer",
    "binding",
    "decoded",
    "history_sql",
]


class Cursor(NamedTuple):
    """A place in the order of all events of one service; compares as the order does."""

    epoch: int
    tx: int
    pos: int

    def __str__(self) -> str:
        """``1-5023-817``: to be stored, and read by ``parse``. Does not sort as text."""
        return f"{self.epoch}-{self.tx}-{self.pos}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """What ``str`` gave. Raises ValueError."""
        epoch, tx, pos = map(int, text.split("-"))
        return cls(epoch, tx, pos)


class Recorded(NamedTuple):
    """A fact as it was stored."""

    category: str
    id: UUID
    version: int
    """Its place in its stream: 1, 2, 3 and so on."""
    type: str
    fact: Any
    """An instance of the fact's class; None when its person was erased."""
    erased: bool
    recorded_at: datetime
    """When we learned of it."""
    effective_at: datetime
    """From when on it is so."""
    person_id: UUID | None
    actor: UUID | None
    """Who did it, where a person did."""
    cursor: Cursor


# How many were added (shared/sql/migrations/0010_append_facts.sql).
APPEND = """
select append_facts(:category::text, :id::uuid, :person::uuid, :actor::uuid, :correlation::text,
                    :effective::timestamptz, :expected::integer, :facts::json)
"""
# If none: an early transaction must not append behind a later one; otherwise the version is over.
WHY_NOT = """
select exists (select from erased_people where person_id = :person) as erased,
       exists (select from events where category = :category and id = :id
                  and version = :expected and tx > pg_current_xact_id()
                  and epoch >= (select epoch from event_epochs)) as too_early
"""

COLUMNS = (
    "category, id, version, type, schema_version, recorded_at, effective_at, person_id, actor,"
    " data, sealed, epoch, tx, pos"
)
# Column by column: PostgreSQL finds out once how a type is written, Python turns each over to C.
_ANSWER = """
select (select json_build_array({columns}) from chosen)::text as events,
       (select json_object_agg(k.subject, json_build_array(k.version, k.wrapped))
          from subject_keys k where k.subject in ({people}) and {seen})::text as keys
"""
_SPELT = {"data": "data::text", "tx": "tx::text::bigint"}
_HISTORY = """
with chosen as materialized (
  select {columns} from events where category = :category and id = :id{filters})
"""
_FILTERS = {
    "after_version": "version > :after_version",
    "until_version": "version <= :until_version",
    "as_of": "effective_at <= :as_of",
    "known_at": "recorded_at <= :known_at",
}

# The gate: an older transaction may still commit before what lies behind it. Its two comparisons
# of rows are the ends of one range of the index, also while a great deal waits.
_GATED = """
  select {columns} from events
   where {category}(epoch, tx, pos) > (:epoch::integer, :tx::text::xid8, :pos::bigint)
     and (epoch, tx) < ((select epoch from event_epochs), pg_snapshot_xmin(pg_current_snapshot()))
   order by epoch, tx, pos limit :limit::integer
"""


def answer(
    order: str, people: str = "select person_id from chosen", *, restricted: bool = False
) -> str:
    """What follows ``with chosen as (...)``: its rows in ``order``, and the keys of ``people``.
    ``restricted``: without the keys of those whose facts are held, and hidden from who acts."""
    columns = (_SPELT.get(name, name) for name in COLUMNS.split(", "))
    return _ANSWER.format(
        columns=", ".join(f"array_agg({column} order by {order})" for column in columns),
        people=people,
        seen=visible("k.subject") if restricted else "true",
    )


_OF_ALL = answer("epoch, tx, pos")
_GATED_ROWS = _GATED.format(columns=COLUMNS, category="")
_GATED_OF_ONE = _GATED.format(columns=COLUMNS, category="category = wanted.name and ")
READ_EVERY = f"with chosen as materialized ({_GATED_ROWS})" + _OF_ALL
READ_SOME = (
    f"""
with chosen as materialized (
  select one.* from unnest(:categories::text[]) as wanted (name)
         cross join lateral ({_GATED_OF_ONE}) one
   order by epoch, tx, pos limit :limit::integer)
"""  # nosec B608
    + _OF_ALL
)


def history_sql(filters: Mapping[str, Any]) -> str:
    """One stream's facts where the named ``filters`` (of _FILTERS) hold; they are parameters, and
    so is ``audit_lifted``."""
    conditions = "".join(f" and {_FILTERS[name]}" for name in filters)
    order = "effective_at, version" if "as_of" in filters else "version"
    return _HISTORY.format(columns=COLUMNS, filters=conditions) + answer(order, restricted=True)


def decoded(
    row: Mapping[str, Any], vault: Callable[[], Vault], known: Mapping[str, type[Message]]
) -> tuple[list[Recorded], dict[UUID, Subject]]:
    """The facts of one answer in its order, and the keys of the people they are about.

    Raises UnknownType, Reject (a version from the future), Unreadable (not what was stored).
    """
    keys = _keys(row["keys"], vault)
    columns = from_json(row["events"])
    if columns[0] is None:
        return [], keys
    categories, texts, versions, kinds, schemas, recorded, effective = columns[:7]
    persons, actors, datas, sealeds, epochs, txs, places = columns[7:]
    ids = {text: UUID(text) for text in {*texts, *persons, *actors} if text is not None}
    times = {text: datetime.fromisoformat(text) for text in {*recorded, *effective}}
    people = list(map(ids.get, persons))
    rows = zip(categories, texts, versions, kinds, schemas, persons, datas, sealeds, strict=True)
    facts = _facts(rows, {str(person): key for person, key in keys.items()}, known)
    events = zip(
        categories,
        map(ids.get, texts),
        versions,
        kinds,
        facts,
        [fact is None for fact in facts],
        map(times.get, recorded),
        map(times.get, effective),
        people,
        map(ids.get, actors),
        map(Cursor._make, zip(epochs, txs, places, strict=True)),
        strict=True,
    )
    return list(map(Recorded._make, events)), keys


def binding(category: str, stream: UUID | str, version: int, kind: str) -> str:
    """What a fact's sealed part is bound to: its place, so that none can stand in for another."""
    return f"event {category} {stream} {version} {kind}"


def _facts(
    rows: Iterable[Sequence[Any]], keys: Mapping[str, Subject], known: Mapping[str, type[Message]]
) -> list[Message | None]:
    """The fact of each row, or None if the key of its sealed part is gone."""
    found: list[Message | None] = []
    for category, stream, version, kind, schema_version, person, data, sealed in rows:
        cls = known.get(kind)
        if cls is None:
            raise UnknownType(kind)
        text = data.encode()
        if sealed is not None:
            key = keys.get(person)
            if key is None:
                found.append(None)
                continue
            bound = binding(category, stream, version, kind)
            secret = key.open(bound, bytes.fromhex(sealed[2:]))
            # Two objects whose names differ: {"a":1} and {"b":2} are {"a":1,"b":2}.
            text = secret if text == b"{}" else text[:-1] + b"," + secret[1:]
        found.append(read_json(cls, schema_version, text))
    return found


def _keys(text: str | None, vault: Callable[[], Vault]) -> dict[UUID, Subject]:
    keys: dict[UUID, Subject] = {}
    for name, (version, wrapped) in from_json(text or "{}").items():
        person = UUID(name)
        keys[person] = vault().subject(person, version, bytes.fromhex(wrapped[2:]))
    return keys
