"""Read models computed from events: applied once, in their order, by whoever is there.

A projection has a table and a place in the order of all events. Both change in one transaction, so
that an event is applied once however often a process dies, wakes up late or runs twice. No process
is resident: what appends events also applies them after its commit (``follow``), and the schedule
applies what is left (``run``). Two at once do not meet: the second finds the place locked and
leaves the work to the first, which looks again before it goes.

Every table exists twice, ``<name>_a`` and ``<name>_b``. One side is live; the other one is filled
from the first event on when the projection has changed, and takes over when it has caught up
(``rebuild``), or is compared with the live side, row by row (``check``).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import faults, log, projection_sql
from shared.db import Database, Row, Tx
from shared.eventstore import Cursor, EventStore, Recorded
from shared.privacy import guard
from shared.telemetry import Gauges
from shared.wire import Statement

if TYPE_CHECKING:
    from shared.projection_rebuild import Difference

__all__ = ["Apply", "Projection", "Projector", "Side", "catch_up", "lags"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
BATCH = 500
# After a request's commit: enough for what it appended, little of what others left.
_SOON, _SOON_S = 100, 0.2


class Side(str):
    """The projection's table on one of its sides, as it stands in SQL: ``visits_a``."""

    __slots__ = ()

    def of(self, table: str) -> str:
        """The same side of another of the projection's tables."""
        return f"{table}_{self[-1]}"


Apply = Callable[[Tx, Recorded, Side], Iterable[Statement] | None]
"""Changes the table as one event asks for, by statements of the transaction and nothing else. What
it writes follows from the event and the table alone: no clock, no chance. Where the event's person
was erased (``erased``) it leaves what an erasure leaves: nothing that tells of the person.

Statements that it returns are run after all of the portion's events were passed, in one round trip:
faster by far, for one that need not look at the table first."""


@dataclass(frozen=True)
class Projection:
    """A read model: which events it is made from, and how."""

    name: str
    categories: Sequence[str]
    """The streams whose events it is made from."""
    apply: Apply
    tables: Sequence[str]
    """Its tables' names without the side; a migration makes ``<name>_a`` and ``<name>_b``, alike
    and with a primary key. ``apply`` is given the first one."""
    apart_from: frozenset[str] = frozenset()
    """Columns that ``check`` does not compare: what is sealed anew each time."""

    def __post_init__(self) -> None:
        for name in (self.name, *self.tables, *self.apart_from):
            if not _NAME.fullmatch(name):
                raise ValueError(f"not a name: {name}")
        if not self.tables or not self.categories:
            raise ValueError(f"{self.name} needs a table and a category")

    def side(self, letter: str) -> Side:
        """The first table on side ``a`` or ``b``."""
        return Side(f"{self.tables[0]}_{letter}")

    def live(self, table: str | None = None) -> str:
        """What stands behind FROM to read the live side (of ``table``, default the first) in the
        same statement that finds out which one it is; the other one is not looked at."""
        base = table or self.tables[0]
        sides = (
            f"select * from {base}_{side} where exists (select from projections"  # nosec B608
            f" where name = '{self.name}' and side = '{side}' and live)"
            for side in "ab"
        )
        return f"({' union all '.join(sides)})"


class Projector:
    """Applies one projection's events in one database."""

    def __init__(
        self, db: Callable[[], Database], store: EventStore, projection: Projection
    ) -> None:
        """``db`` is asked for when it is needed: declaring a projector opens nothing."""
        self.db, self.store, self.projection = db, store, projection

    def run(self, limit: int = BATCH, budget_s: float = 20.0) -> int:
        """Apply what has come, ``limit`` events in a transaction, for about ``budget_s``; how many
        it were. Somebody else at it: 0. Raises as ``Database.transaction``, and what apply raises.

        READ COMMITTED: events are read, and erasures seen, after their locks were taken. What is
        read is the same in any case, since nothing comes up before the gate any more.
        """
        applied, until = 0, time.monotonic() + budget_s
        # Looking again without the lock finds what was appended by those who met it.
        while self._behind():
            done = self.db().transaction(
                lambda tx: self._batch(tx, limit), isolation="READ COMMITTED"
            )
            applied += done or 0
            if done is None or time.monotonic() >= until:
                break
        return applied

    def follow(self, tx: Tx) -> None:
        """Apply what ``tx`` appends as soon as it has committed, where nothing older is under way.
        What fails here, the schedule does later."""
        tx.after(lambda: self.run(_SOON, _SOON_S))

    def table(self, source: Database | Tx) -> Side:
        """The first table on the side that is live now. For a transaction that is REPEATABLE READ;
        a single statement reads ``Projection.live``."""
        row = source.one(projection_sql.LIVE, name=self.projection.name)
        return self.projection.side(row["side"] if row else "a")

    def rebuild(self) -> int:
        """Make the read model anew from the first event on while the live side goes on, then let it
        take over; how many events it were.

        Whatever ends it half-way, the live side stays. Raises Busy while somebody else rebuilds or
        checks, LeaseLost if this one came to a halt and somebody else began meanwhile.
        """
        from shared.projection_rebuild import Rebuild

        return Rebuild(self).rebuild()

    def check(self) -> list[Difference]:
        """Make the read model anew up to where the live side is, and compare them: the rows that
        differ, at most 1,000 of each table. Raises as ``rebuild``, Contention if the live side
        never rests for a moment."""
        from shared.projection_rebuild import Rebuild

        return Rebuild(self).check()

    def lag(self, source: Database | Tx) -> float:
        """The age in seconds of the oldest event that is not applied; 0 if there is none."""
        row = source.one(projection_sql.LAG, **self._wanted()) or {}
        return max(row.get("lag") or 0.0, 0.0)

    def _wanted(self) -> dict[str, object]:
        return {"name": self.projection.name, "categories": list(self.projection.categories)}

    def _behind(self) -> bool:
        for _ in range(2):
            row = self.db().one(projection_sql.BEHIND, **self._wanted())
            if row is not None:
                return bool(row["behind"])
            self.register()
        return False

    def register(self) -> None:
        """Let it have its places, where it has none yet."""
        self.db().transaction(
            lambda tx: tx.run(projection_sql.REGISTER, name=self.projection.name),
            isolation="READ COMMITTED",
        )

    def _batch(self, tx: Tx, limit: int) -> int | None:
        place = tx.one(projection_sql.LOCK_LIVE, name=self.projection.name)
        return None if place is None else self.advance(tx, place, limit)

    def advance(self, tx: Tx, place: Row, limit: int, upto: Cursor | None = None) -> int:
        """Apply at most ``limit`` events behind ``place``, a row that ``tx`` has locked, none later
        than ``upto``; how many. Fewer than ``limit``: no more are to be had."""
        projection = self.projection
        after = Cursor(place["epoch"], place["tx"], place["pos"])
        found = self.store.read_all(tx, after, categories=projection.categories, limit=limit)
        if upto is not None:
            found = [event for event in found if event.cursor <= upto]
        side = projection.side(place["side"])
        at, waiting = "", list[Statement]()
        try:
            for event in _without_the_erased(tx, found):
                at = f"{event.cursor}: {event.type}"
                waiting += projection.apply(tx, event, side) or ()
            if waiting:
                tx.batch(*waiting)
        except Exception as error:
            error.add_note(f"projection {projection.name}, event {at}")
            raise
        reached = found[-1].cursor if found else after
        if upto is not None and len(found) < limit:
            reached = upto
        if reached != after:
            faults.point("projection.applied")
            where = {"name": projection.name, "side": side[-1]}
            moved = {**reached._asdict(), "tx": str(reached.tx)}
            tx.run(projection_sql.MOVE, **where, **moved)
        return len(found)


def catch_up(projectors: Sequence[Projector]) -> int:
    """Let each apply what has come; one that fails keeps none of the others from it. How many
    events it were. Raises the last failure."""
    applied, failed = 0, None
    for projector in projectors:
        try:
            applied += projector.run()
        except Exception as error:  # noqa: BLE001 -- raised again when all had their turn
            log.warning("projection_failed", projection=projector.projection.name)
            failed = error
    if failed is not None:
        raise failed
    return applied


def lags(projectors: Sequence[Projector]) -> Gauges:
    """The gauge of the projection that is furthest behind."""

    def read(db: Database) -> Mapping[str, float | None]:
        return {"dentalhelp.projection.lag": max(each.lag(db) for each in projectors)}

    return read


def _without_the_erased(tx: Tx, found: list[Recorded]) -> list[Recorded]:
    """``found`` with no fact about anybody who was erased after it was read.

    An erasure that is under way is waited for, and one that comes now waits for ``tx``: it finds
    the rows that ``tx`` makes.
    """
    people = sorted({event.person_id for event in found if event.person_id and not event.erased})
    if not people:
        return found
    late = Statement(projection_sql.ERASED, {"people": people})
    answers = tx.batch(*map(guard, people), late)
    gone = {row["person_id"] for row in answers[-1].rows}
    if not gone:
        return found
    return [
        event._replace(fact=None, erased=True) if event.person_id in gone else event
        for event in found
    ]
