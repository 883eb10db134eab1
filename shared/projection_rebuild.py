"""A projection made anew beside its live side: to take its place, or to be compared with it.

One process at a time does so, under a lease that every transaction holds: one that was stopped
half-way and wakes up late finds that the lease has changed hands, and ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from shared import faults, projection_sql
from shared.db import Contention, LockTimeout, Row, Tx
from shared.errors import Conflict
from shared.eventstore import Cursor
from shared.leases import Lease, release, take
from shared.projection import BATCH, Projector

__all__ = ["Busy", "Difference", "Rebuild"]

T = TypeVar("T")

_LEASE_S = 90.0  # longer than any transaction is allowed to take
# How often the live side is asked to hold still for a moment.
_ATTEMPTS = 20
_MOST = 1000  # differences of a table that are looked at


class Busy(Conflict):
    """Somebody is rebuilding or checking this projection already."""


@dataclass(frozen=True)
class Difference:
    """A row in which the live side is not what its events make of it. Says which, but no values:
    rows may hold what is personal."""

    table: str
    key: str
    """The primary key's columns, as JSON."""
    what: Literal["missing", "surplus", "changed"]
    """Of the live side: it lacks the row, has it for no reason, or has other values."""
    columns: tuple[str, ...] = ()
    """Those with other values."""


class Rebuild:
    """One rebuild, or one comparison, of a projection."""

    def __init__(self, projector: Projector, limit: int = BATCH) -> None:
        """``limit``: events in one transaction."""
        self._projector, self._limit = projector, limit
        self._projection, self._name = projector.projection, projector.projection.name

    def rebuild(self) -> int:
        """See ``Projector.rebuild``."""
        return self._leased(self._replace)

    def check(self) -> list[Difference]:
        """See ``Projector.check``."""
        return self._leased(self._verify)

    def _leased(self, work: Callable[[Lease], T]) -> T:
        db = self._projector.db()
        self._projector.register()
        lease = take(db, f"projection {self._name}", _LEASE_S)
        if lease is None:
            raise Busy
        try:
            return work(lease)
        finally:
            release(db, lease)

    def _replace(self, lease: Lease) -> int:
        self._clear(lease)
        applied, flipped = 0, False
        while not flipped:
            done = self._step(lease, self._fill)
            applied += done
            if done < self._limit:
                last, flipped = self._step(lease, self._flip)
                applied += last
        return applied

    def _verify(self, lease: Lease) -> list[Difference]:
        self._clear(lease)
        for _ in range(_ATTEMPTS):
            while not self._step(lease, self._approach):
                pass
            self._step(lease, self._meet)
            found = self._projector.db().transaction(self._compare)
            if found is not None:
                return found
        raise Contention

    def _step(self, lease: Lease, work: Callable[[Tx], T]) -> T:
        def held(tx: Tx) -> T:
            lease.hold(tx, _LEASE_S)
            return work(tx)

        for patience in reversed(range(_ATTEMPTS)):
            try:
                return self._projector.db().transaction(held, isolation="READ COMMITTED")
            except LockTimeout:
                # Somebody came to a halt while applying: the server ends that transaction.
                if not patience:
                    raise
        raise AssertionError("unreachable")

    def _clear(self, lease: Lease) -> None:
        def portion(tx: Tx) -> int:
            # First, so that nobody takes what is left of the rows for something whole.
            tx.run(projection_sql.RESET, name=self._name)
            _, idle = self._places(tx)
            side = self._projection.side(idle["side"])
            return sum(
                tx.run(projection_sql.CLEAR.format(table=side.of(table)))
                for table in self._projection.tables
            )

        while self._step(lease, portion):
            pass

    def _fill(self, tx: Tx) -> int:
        _, idle = self._places(tx)
        return self._projector.advance(tx, idle, self._limit)

    def _flip(self, tx: Tx) -> tuple[int, bool]:
        """Apply what is left while the live side holds still, then change places; False where too
        much was left."""
        _, idle = self._places(tx, projection_sql.LOCK_BOTH)
        done = self._projector.advance(tx, idle, self._limit)
        if done == self._limit:
            return done, False
        tx.run(projection_sql.STAND_DOWN, name=self._name)
        tx.run(projection_sql.TAKE_OVER, name=self._name, side=idle["side"])
        faults.point("projection.flipped")
        return done, True

    def _approach(self, tx: Tx) -> bool:
        """Apply some of what the live side has; whether that was all."""
        live, idle = self._places(tx)
        return self._projector.advance(tx, idle, self._limit, _cursor(live)) < self._limit

    def _meet(self, tx: Tx) -> None:
        """The same while the live side holds still: both are at one place for a moment."""
        live, idle = self._places(tx, projection_sql.LOCK_BOTH)
        self._projector.advance(tx, idle, self._limit, _cursor(live))

    def _places(self, tx: Tx, sql: str = projection_sql.PLACES) -> tuple[Row, Row]:
        """Where the live side is, and the other one, which nobody moves who has not the lease."""
        first, second = tx.all(sql, name=self._name)
        return (first, second) if first["live"] else (second, first)

    def _compare(self, tx: Tx) -> list[Difference] | None:
        """In one snapshot, which holds up nobody. None: the live side has gone on."""
        live, idle = self._places(tx)
        if _cursor(live) != _cursor(idle):
            return None
        tx.run(projection_sql.KEEP_GOING)
        sides = [self._projection.side(place["side"]) for place in (live, idle)]
        return [
            found
            for table in self._projection.tables
            for found in self._differences(tx, table, *(side.of(table) for side in sides))
        ]

    def _differences(self, tx: Tx, table: str, live: str, idle: str) -> Iterator[Difference]:
        columns = tx.all(projection_sql.COLUMNS, table=live)
        key = [column["name"] for column in columns if column["key"]]
        if not key:
            raise ValueError(f"{live} needs a primary key")
        names = [column["name"] for column in columns]
        compared = [name for name in names if name not in self._projection.apart_from]
        sql = projection_sql.COMPARE.format(
            columns=", ".join(f'"{name}"' for name in compared),
            key=", ".join(f"'{name}', s.\"{name}\"" for name in key),
            live=live,
            idle=idle,
            most=_MOST,
        )
        for row in tx.all(sql):
            yield _difference(table, row)


def _cursor(place: Row) -> Cursor:
    return Cursor(place["epoch"], place["tx"], place["pos"])


def _difference(table: str, row: Row) -> Difference:
    if row["live"] is None:
        return Difference(table, row["key"], "missing")
    if row["rebuilt"] is None:
        return Difference(table, row["key"], "surplus")
    live, rebuilt = json.loads(row["live"]), json.loads(row["rebuilt"])
    columns = tuple(sorted(name for name in live if live[name] != rebuilt[name]))
    return Difference(table, row["key"], "changed", columns)
