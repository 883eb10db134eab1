"""Writers that dawdle and roll back, readers that tail them: none missed, none twice."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable

from shared.db import Tx
from shared.errors import StaleVersion, Unavailable
from shared.event_gate import gate
from shared.eventstore import START, Cursor, Stream
from tests.eventstore_stack import ChairMoved, World, world

SECONDS = 3.0
PATIENCE = 90.0  # seconds for a machine that is busy with something else
ENOUGH = 100  # events
WRITERS = 6

Place = tuple[str, int]


class _Crowd:
    """Threads that append at random, and three readers that follow them."""

    def __init__(self, store: World, seed: int) -> None:
        self.store = store
        self.streams = [store.stream("chair") for _ in range(WRITERS + 2)]
        self.seed = seed
        self.writing = threading.Event()
        self.writing.set()
        self.all_written = threading.Event()
        self.faults: list[BaseException] = []
        self.naive_at = 0, 0
        """The position up to which the naive reader has read, and how many events it saw."""

    def write(self, seed: int) -> None:
        """Append to streams that others append to as well; now and then roll back."""
        dice, versions = random.Random(self.seed + seed), defaultdict[Stream, int](int)
        while self.writing.is_set():
            stream = dice.choice(self.streams)

            def work(tx: Tx, stream: Stream = stream) -> int:
                facts = [ChairMoved(room=n) for n in range(dice.choice((1, 1, 3)))]
                version = self.store.store.append(tx, stream, facts, expected=versions[stream])
                time.sleep(dice.choice((0, 0, 0.001, 0.02)))
                if dice.random() < 0.2:
                    raise LookupError
                return version

            try:
                versions[stream] = self.store.db.transaction(work, isolation="READ COMMITTED")
            except (StaleVersion, Unavailable):  # overtaken, or again and again
                versions[stream] = self.version(stream)
            except LookupError:
                continue

    def version(self, stream: Stream) -> int:
        """Where it is now."""
        return self.store.store.load(self.store.db, stream, None, lambda *_: None)[1]

    def gated(self, seen: list[Place]) -> None:
        """Tail by the store's cursor, in pages of changing size."""
        after: Cursor = START
        dice = random.Random(self.seed)
        while True:
            last = self.all_written.is_set() and not gate(self.store.db)["xmin_lag"]
            page = self.store.store.read_all(self.store.db, after, limit=dice.randint(1, 50))
            seen += [(str(event.id), event.version) for event in page]
            after = page[-1].cursor if page else after
            if last and not page:
                return

    def naive(self, seen: list[Place]) -> None:
        """Tail by the last position that was seen, as one is tempted to."""
        last = 0
        while True:
            ended = self.all_written.is_set()
            page = self.store.db.all(
                "select id::text, version, pos from events where pos > :last order by pos",
                last=last,
            )
            seen += [(row["id"], row["version"]) for row in page]
            last = page[-1]["pos"] if page else last
            self.naive_at = last, len(seen)
            if ended and not page:
                return

    def proves_something(self) -> bool:
        """Whether there are events enough, and the naive reader has passed over some."""
        last, seen = self.naive_at
        found = self.store.db.one(
            "select count(*) as n, count(*) filter (where pos <= :last) as passed from events",
            last=last,
        )
        return found is not None and found["n"] > ENOUGH and found["passed"] > seen

    def run(self, *readers: Callable[[], None]) -> None:
        """Everybody at once, for SECONDS, or longer where that proves too little; raises what a
        thread raised."""
        writers = [self._thread(lambda s=seed: self.write(s)) for seed in range(WRITERS)]  # type: ignore[misc]
        tails = [self._thread(reader) for reader in readers]
        time.sleep(SECONDS)
        deadline = time.monotonic() + PATIENCE
        while not self.proves_something() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.writing.clear()
        for thread in writers:
            thread.join(60)
        self.all_written.set()
        for thread in tails:
            thread.join(60)
        assert [] == self.faults
        assert [] == [thread for thread in (*writers, *tails) if thread.is_alive()]

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 -- the test looks at it
                self.faults.append(error)
            finally:
                self.store.db.close()

        thread = threading.Thread(target=run)
        thread.start()
        return thread


def test_readers_miss_nothing_and_see_nothing_twice(kit_db: Callable[[], str]) -> None:
    """Two readers by the gate see every event once, streams in order, and both the same order;
    a reader that trusts positions loses some of the very same events."""
    crowd = _Crowd(world(kit_db()), seed=7)
    one: list[Place] = []
    two: list[Place] = []
    naive: list[Place] = []
    crowd.run(lambda: crowd.gated(one), lambda: crowd.gated(two), lambda: crowd.naive(naive))
    rows = crowd.store.db.all("select id::text, version from events")
    truth = {(row["id"], row["version"]) for row in rows}
    assert len(truth) > ENOUGH
    assert truth == set(one)
    assert len(truth) == len(one)
    assert one == two
    for stream in crowd.streams:
        versions = [version for name, version in one if name == str(stream.id)]
        assert list(range(1, len(versions) + 1)) == versions
    assert truth - set(naive), "the positive control: the naive reader must have lost some"
