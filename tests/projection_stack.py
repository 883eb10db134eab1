"""Visits to a practice, as a read model: who came how often, and which events said so."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from shared.crypto import Vault
from shared.db import Database, Tx
from shared.eventstore import EventStore, Fact, Recorded, Stream
from shared.messages import personal
from shared.privacy import Personal, Privacy
from shared.projection import Apply, Projection, Projector, Side

__all__ = [
    "PRIVACY",
    "Came",
    "Left",
    "Visits",
    "apply",
    "at_work",
    "eventually",
    "held_up",
    "in_order",
    "tables",
    "visitor",
    "visits",
]

# order: every event once, in the order in which they were applied.
_TABLES = """
create table visits_{side} (
  person_id uuid primary key, name text, came int not null default 0, gone int not null default 0);
create table order_{side} (
  n bigint generated always as identity, id uuid, version int, primary key (id, version));
grant all on visits_{side}, order_{side} to kit_t;
"""
PRIVACY = Privacy(tables=(Personal("visits_a"), Personal("visits_b")))


class Came(Fact):
    """Somebody entered the practice."""

    name: str = personal()


class Left(Fact):
    """Somebody went away."""


def apply(tx: Tx, event: Recorded, table: Side) -> None:
    """Count what the person did, and under which name it was last seen."""
    ordered = table.of("order")
    tx.run(
        f"insert into {ordered} (id, version) values (:id, :version)",
        id=event.id,
        version=event.version,
    )
    if event.erased:
        return
    what = "came" if event.type == Came.type_name() else "gone"
    name = event.fact.name if isinstance(event.fact, Came) else None
    tx.run(
        f"insert into {table} as t (person_id, name, {what}) values (:id, :name, 1)"
        f" on conflict (person_id) do update set {what} = t.{what} + 1,"
        " name = coalesce(excluded.name, t.name)",
        id=event.person_id,
        name=name,
    )


@dataclass
class Visits:
    """The read model in its database, as one process sees it."""

    url: str
    db: Database
    store: EventStore
    projector: Projector

    def append(self, stream: Stream, *facts: Fact, expected: int = 0, follow: bool = False) -> int:
        """Append in a transaction of its own."""

        def work(tx: Tx) -> int:
            if follow:
                self.projector.follow(tx)
            return self.store.append(tx, stream, facts, expected=expected)

        return self.db.transaction(work, isolation="READ COMMITTED")

    def came(self, people: int = 1, times: int = 1, follow: bool = False) -> list[UUID]:
        """So many new people came, so many times each; their ids."""
        made = [uuid4() for _ in range(people)]
        for number, person in enumerate(made):
            facts = [Came(name=f"Ana {number}") for _ in range(times)]
            self.append(visitor(person), *facts, follow=follow)
        return made

    def erase(self, person: UUID) -> None:
        """As a service would."""
        self.db.transaction(
            lambda tx: PRIVACY.erase(tx, person, uuid4()), isolation="READ COMMITTED"
        )

    def rows(self, table: str = "visits") -> list[dict[str, Any]]:
        """The live side of ``table``."""
        source = self.projector.projection.live(table)
        return self.db.all(f"select * from {source} t order by 1")

    def counts(self) -> dict[UUID, int]:
        """How often each person came."""
        return {row["person_id"]: row["came"] for row in self.rows()}

    def applied(self) -> list[tuple[UUID, int]]:
        """Every event that was applied to the live side, in that order."""
        return [(row["id"], row["version"]) for row in self.rows("order")]

    def sides(self) -> list[tuple[str, bool]]:
        """Both sides, and which is live."""
        rows = self.db.all("select side, live from projections where name = 'visits' order by side")
        return [(row["side"], row["live"]) for row in rows]


def visitor(person: UUID) -> Stream:
    """A person's visits."""
    return Stream("visit", person, person)


def visits(url: str, made: Apply = apply) -> Visits:
    """The read model in the database behind ``url``, made by ``made``."""
    db = Database(url)
    vault = Vault(db)
    store = EventStore(vault, [Came, Left])
    columns = frozenset({"n"})
    projection = Projection("visits", ["visit"], made, ["visits", "order"], apart_from=columns)
    return Visits(url, db, store, Projector(lambda: db, store, projection))


def tables(url: str) -> None:
    """Make the tables of both sides, or empty them and forget every event."""
    owner = Database(url.replace("kit_t:runtime@", "kit_t_owner:owner@"))
    for side in "ab":
        owner.all(f"drop table if exists visits_{side}, order_{side}")
        owner.all(_TABLES.format(side=side))
    owner.all("truncate events, projections, leases, erased_people, subject_keys cascade")
    owner.close()


_PROGRAM = """
import sys
from shared.projection_rebuild import Rebuild
from tests.projection_stack import visits
projector = visits(sys.argv[1]).projector
print({what})
"""


@contextmanager
def at_work(url: str, faults: Path, what: str) -> Iterator[subprocess.Popen[str]]:
    """A process that does ``what`` with the projector, and meets the fault points in ``faults``."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.format(what=what), url],
        env={**os.environ, "FAULT_POINTS": str(faults)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def held_up(db: Database) -> Iterator[None]:
    """Meanwhile a transaction with an older id is open: the gate is closed to what comes."""
    ready, over = threading.Event(), threading.Event()

    def hold() -> None:
        def work(tx: Tx) -> None:
            tx.all("select pg_current_xact_id()")
            ready.set()
            over.wait(30)

        db.transaction(work)
        db.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert ready.wait(60)
    try:
        yield
    finally:
        over.set()
        thread.join()


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for what others are about to do. Raises AssertionError."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def in_order(applied: Sequence[tuple[UUID, int]]) -> bool:
    """Whether each stream's events are there once and in their order, from the first on."""
    seen: dict[UUID, int] = {}
    for stream, version in applied:
        if version != seen.get(stream, 0) + 1:
            return False
        seen[stream] = version
    return True
