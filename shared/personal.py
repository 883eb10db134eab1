"""One table's personal data: how its rows are found, shown, held and erased."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from pydantic_core import to_jsonable_python

from shared.contracts.gdpr import Held
from shared.crypto import Subject
from shared.db import Row, Tx
from shared.holds import Hold

__all__ = ["KIT", "Bound", "Personal", "bound", "bounds", "remaining", "removal", "shown"]


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
    hold: Hold | None = None
    """Rows that a law holds for a time. With ``erase="keep"`` it is their key that is held."""
    show: Callable[[Tx, UUID], list[dict[str, Any]]] | None = None
    """Reads what an export shows where columns do not say it (shared/event_export.py)."""

    @property
    def mine(self) -> str:
        """The SQL condition that finds a person's rows."""
        return f"({self.where or f'{self.person} = :person'})"

    @property
    def free(self) -> str:
        """The SQL condition that finds those of a person's rows that nothing holds."""
        return f"{self.mine} and not ({'false' if self.hold is None else self.hold.held})"

    @property
    def exported(self) -> bool:
        """Whether an export shows anything of it."""
        return bool(self.plain or self.sealed or self.show)

    @property
    def stays_sealed(self) -> bool:
        """Whether an erasure leaves rows that only the loss of the key makes unreadable."""
        if self.erase == "keep":
            return bool(self.sealed) or self.show is not None
        return self.erase == "anonymise" and not self.sealed.keys() <= self.change.keys()


# Filled in with what a declaration in the code says; people's values are always parameters.
_COUNT = "select count(*) as n from {table} where {rows}"
_BOUNDS = "select min({until}) as first, max({until}) as last from {table} where {rows}"
_DELETE = "delete from {table} where {rows}"
_CHANGE = "update {table} set {assigned} where {rows}"
_SHOW = "select {columns} from {table} where {rows}"

# What the kit itself keeps about a person.
KIT = {
    "dead_letters": "delete from dead_letters where refs @> array[:person::uuid]",
    "idempotency_keys": "delete from idempotency_keys where person_id = :person",
    "known_people": "delete from known_people where person_id = :person",
    "sagas": (
        "update sagas set data = null, held = '[]', status = 'FAILED', wake_at = null,"
        " lease_until = null, fence = fence + 1, error = 'person erased'"
        " where subject = :person and data is not null"
    ),
}
"""Name -> the statement that erases it."""


class Bound(NamedTuple):
    """What of a table a law holds."""

    held: Held
    first: datetime
    """When the first of its rows may go."""


def bounds(table: Personal) -> str:
    """The statement that asks ``bound`` of its one row: when the first and the last of what is
    held may go."""
    if table.hold is None:
        raise ValueError(f"nothing holds {table.table}")
    rows = f"{table.mine} and {table.hold.held}"
    return _BOUNDS.format(table=table.table, until=table.hold.until, rows=rows)


def bound(table: Personal, found: Row) -> Bound | None:
    """What of ``table`` is held, None if nothing is."""
    if table.hold is None or found["last"] is None:
        return None
    until = found["last"]
    # What is kept sealed becomes unreadable as a whole: with the last of its rows.
    first = until if table.erase == "keep" else found["first"]
    return Bound(Held(what=table.table, reason=table.hold.reason, until=until), first)


def removal(table: Personal) -> str:
    """The statement that erases what nothing holds."""
    if table.erase == "delete":
        return _DELETE.format(table=table.table, rows=table.free)
    assigned = ", ".join(f"{column} = {value}" for column, value in table.change.items())
    return _CHANGE.format(table=table.table, assigned=assigned, rows=table.free)


def remaining(table: Personal) -> str:
    """The statement that counts what an erasure should have deleted."""
    return _COUNT.format(table=table.table, rows=table.free)


def shown(tx: Tx, table: Personal, person: UUID, key: Subject | None) -> list[dict[str, Any]]:
    """The person's rows as an export has them."""
    if table.show is not None:
        return table.show(tx, person)
    columns = ", ".join((*table.plain, *table.sealed))
    sql = _SHOW.format(table=table.table, columns=columns, rows=table.mine)
    return [_readable(table, found, key) for found in tx.all(sql, person=person)]


def _readable(table: Personal, row: Row, key: Subject | None) -> dict[str, Any]:
    plain = {name: row[name] for name in table.plain}
    for column, name in table.sealed.items():
        plain[column] = None if key is None else key.unseal(name, row[column])
    # A range of time, say, has no JSON of its own, but a text that people can read.
    readable: dict[str, Any] = to_jsonable_python(plain, fallback=str)
    return readable
