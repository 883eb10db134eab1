"""The event store against ``eventsourcing``: append, replay, and what a reader of all misses."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

from infra.bench.eventsourcing_side import PAYLOAD
from infra.bench.harness import Checks, Figure, Target, interleave
from infra.bench.place import Place
from infra.bench.rival import Rival
from infra.bench.services import Ticked
from infra.local.postgres import create_service_database
from shared.bus import Publishable
from shared.crypto import Vault
from shared.db import Database, Tx
from shared.eventstore import START, EventStore, Fact, Recorded, Stream
from shared.messages import personal
from shared.outbox import Leased, Outbox

__all__ = ["run"]

_WRITERS = 8
_SIZES = {(1, 1): 800, (_WRITERS, 1): 200, (1, 10): 3_000}
"""(writers, facts at once) -> facts per writer and round."""
_LONG = 1_000
_FOLLOWED = 1_000  # facts per writer while a reader follows


class Moved(Fact):
    """What both sides store; in ours, what tells of the person is sealed."""

    town: str = personal()
    street: str = personal()
    far: bool


def run(place: Place) -> list[Figure]:
    """Both on one PostgreSQL with fsync on; every writer has records of its own."""
    url = create_service_database(
        place.cluster, "eventsourcing_db", "eventsourcing", password="es", owner_password="es"
    ).owner_url  # nosec B106
    with _Theirs(url) as theirs, _Theirs(url, fast=True) as fast:
        ours = _Ours(place)
        figures = [_append(ours, theirs, *size) for size in _SIZES]
        figures.append(_replay(ours, theirs))
        notes = [ours.followed(), theirs.followed("Theirs"), fast.followed("Their fast mode")]
        figures[1].notes += notes
        figures[1].checks.missed += ours.checks.missed
        figures[1].checks.duplicated += ours.checks.duplicated
        ours.close()
    return figures


def _append(ours: _Ours, theirs: _Theirs, writers: int, batch: int) -> Figure:
    count = _SIZES[writers, batch]
    checks = Checks()

    def our_side(_number: int) -> float:
        streams, seconds = ours.append(writers, count, batch)
        checks.operations += writers * count
        checks.missed += sum(count - ours.length(stream) for stream in streams)
        return writers * count / seconds

    def their_side(_number: int) -> float:
        return writers * count / float(theirs.ask("append", writers, count, batch))

    mine, other = interleave(our_side, their_side)
    at_once = f"{batch} at once" if batch > 1 else "one at a time"
    return Figure(
        f"events appended {at_once} by {writers} writer{'s' * (writers > 1)}: sealed, gap-safe,"
        " a message in the outbox with each commit",
        "eventsourcing, its default mode: neither sealed nor published",
        "events/s",
        mine,
        other,
        Target("ratio", "at least", 3.0 if batch > 1 else 2.0),
        checks,
        ["Publishing what is in the outbox is the relay's row."] if writers > 1 else [],
    )


def _replay(ours: _Ours, theirs: _Theirs) -> Figure:
    checks = Checks()

    def our_side(_number: int) -> float:
        checks.operations += _LONG
        seconds, count = ours.replay()
        checks.missed += _LONG - count
        return _LONG / seconds

    def their_side(_number: int) -> float:
        return _LONG / float(theirs.ask("replay", _LONG))

    mine, other = interleave(our_side, their_side)
    return Figure(
        f"a record of {_LONG:,} events read and computed, every event unsealed",
        "eventsourcing, a record of as many, nothing sealed",
        "events/s",
        mine,
        other,
        Target("ratio", "at least", 3.0),
        checks,
    )


class _Nobody:
    """A bus without subscribers."""

    def publish(self, topic: str, messages: Sequence[Publishable]) -> None:
        """Takes everything."""


class _Kept(Outbox):
    """An outbox whose rows wait for the relay."""

    def publish(self, leased: Leased) -> None:
        """Leaves that to the relay."""


class _Ours:
    def __init__(self, place: Place) -> None:
        box = _Kept("alpha", _Nobody())
        self.db = Database(place.database_url("alpha"), outbox=box)
        self.store = EventStore(Vault(self.db), [Moved])
        self.pool = ThreadPoolExecutor(_WRITERS)
        self.checks = Checks()
        self.long = _stream()
        self._write(self.long, _LONG, _LONG)

    def append(self, writers: int, count: int, batch: int) -> tuple[list[Stream], float]:
        streams = [_stream() for _ in range(writers)]
        list(self.pool.map(self._write, streams, [batch] * writers, [batch] * writers))
        began = time.perf_counter()
        rest = count - batch
        list(self.pool.map(self._write, streams, [rest] * writers, [batch] * writers))
        return streams, (time.perf_counter() - began) * count / rest

    def _write(self, stream: Stream, count: int, batch: int) -> None:
        version = self.length(stream)

        def work(tx: Tx) -> int:
            tx.emit(Ticked(thing=stream.id))
            facts = [Moved.model_validate(PAYLOAD) for _ in range(batch)]
            return self.store.append(tx, stream, facts, expected=version)

        for _ in range(count // batch):
            version = self.db.transaction(work, isolation="READ COMMITTED")

    def length(self, stream: Stream) -> int:
        row = self.db.one("select count(*) as n from events where id = :id", id=stream.id)
        return int(row["n"]) if row else 0

    def replay(self) -> tuple[float, int]:
        began = time.perf_counter()
        state, version = self.store.load(self.db, self.long, None, _moved)
        seconds = time.perf_counter() - began
        if state != tuple(PAYLOAD.values()):
            raise AssertionError("another record than was written")
        return seconds, version

    def followed(self) -> str:
        """Append while a reader follows, and say what it missed and saw twice."""
        start = START
        while page := self.store.read_all(self.db, start, limit=10_000):
            start = page[-1].cursor
        seen: Counter[tuple[UUID, int]] = Counter()
        over = threading.Event()

        def read() -> None:
            after = start
            while True:
                ended = over.is_set()
                page = self.store.read_all(self.db, after, limit=1_000)
                seen.update((event.id, event.version) for event in page)
                after = page[-1].cursor if page else after
                if ended and not page:
                    return

        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read)
            try:
                streams, _ = self.append(_WRITERS, _FOLLOWED, 1)
            finally:
                over.set()
            reading.result()
        there = {(s.id, n) for s in streams for n in range(1, _FOLLOWED + 1)}
        self.checks.missed += len(there - seen.keys())
        self.checks.duplicated += seen.total() - len(seen)
        return _told("Ours", len(there), self.checks.missed, self.checks.duplicated)

    def close(self) -> None:
        self.pool.shutdown()
        self.db.close()


class _Theirs(Rival):
    """The other side, in a process of its own (infra/bench/eventsourcing_side.py)."""

    def __init__(self, url: str, *, fast: bool = False) -> None:
        mode = {"POSTGRES_ENABLE_DB_FUNCTIONS": "yes"} if fast else {}
        super().__init__("infra.bench.eventsourcing_side", url, str(_WRITERS), environment=mode)

    def ask(self, command: str, *numbers: int) -> Any:
        """What it says to one command."""
        return json.loads(self.say(command, *numbers))

    def followed(self, who: str) -> str:
        """See ``_Ours.followed``."""
        found = self.ask("follow", _WRITERS, _FOLLOWED, 1)
        return _told(who, found["events"], found["missed"], found["doubled"])


def _stream() -> Stream:
    person = uuid4()
    return Stream("record", person, person)


def _moved(_state: object, event: Recorded) -> tuple[object, ...]:
    fact = event.fact
    return (fact.town, fact.street, fact.far)


def _told(who: str, events: int, missed: int, doubled: int) -> str:
    return (
        f"{who}, followed by a reader while {_WRITERS} write: {missed} missed / {doubled} doubled"
        f" of {events:,}."
    )
