"""A database with an outbox, aggregates to change, and buses that misbehave on request."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from shared.bus import BusUnavailable, Publishable
from shared.db import Database, Isolation, Tx
from shared.messages import Event
from shared.outbox import Leased, Outbox

__all__ = [
    "Deferred",
    "FaultyBus",
    "RecordingBus",
    "Ticked",
    "aggregates",
    "backlog",
    "database",
    "sweeper",
    "tick",
    "waiting",
]


class Ticked(Event):
    """The ``n``-th change of a thing."""

    key: ClassVar[str] = "thing"

    thing: str
    n: int


class RecordingBus:
    """Keeps what is published as (key, n); may be away, or die before it has published."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.away = False
        self.die = False
        self.calls = 0

    def publish(self, topic: str, messages: Sequence[Publishable]) -> None:
        """See ``shared.bus.Publisher``."""
        self.calls += 1
        if self.away:
            raise BusUnavailable("away")
        if self.die:
            raise RuntimeError("the instance died")
        self.record(messages)

    def record(self, messages: Sequence[Publishable]) -> None:
        """Note ``messages`` as published."""
        self.sent += [read(message) for message in messages]


def read(message: Publishable) -> tuple[str, int]:
    """The key and number of a ``Ticked``."""
    payload = json.loads(message.to_json())["payload"]
    return payload["thing"], payload["n"]


class FaultyBus(RecordingBus):
    """Publishing stalls, never happens, or happens after everybody has given up on it."""

    def __init__(self, seed: int, lease_s: float, *, death: float = 0.02, zombie: float = 0.01):
        super().__init__()
        self._random = random.Random(seed)
        self._lease_s, self._death, self._zombie = lease_s, death, zombie
        self._lock = threading.Lock()
        self.calm = False
        self.zombies: set[tuple[str, int]] = set()

    def publish(self, topic: str, messages: Sequence[Publishable]) -> None:
        """Publish, sooner or later or not."""
        dice = 1.0 if self.calm else self._random.random()
        if dice < self._death:
            raise RuntimeError("the instance died")
        if dice < self._death + self._zombie:
            with self._lock:
                self.zombies.update(read(message) for message in messages)
            time.sleep(self._lease_s * 1.5)
        elif dice < 0.5:
            time.sleep(self._random.random() * 0.01)
        with self._lock:
            self.record(messages)

    def first_occurrences(self) -> dict[str, list[int]]:
        """Key -> numbers in the order in which each was published first."""
        order: dict[str, dict[int, None]] = defaultdict(dict)
        for key, n in self.sent:
            order[key][n] = None
        return {key: list(numbers) for key, numbers in order.items()}

    def duplicates(self) -> set[tuple[str, int]]:
        """What was published more than once."""
        return {row for row, count in Counter(self.sent).items() if count > 1}


class Deferred(Outbox):
    """An outbox that publishes only when the test says so."""

    def __init__(self, service: str, bus: RecordingBus) -> None:
        super().__init__(service, bus)
        self.held: list[Leased] = []

    def publish(self, leased: Leased) -> None:
        """Keep ``leased`` for ``release``."""
        self.held.append(leased)

    def release(self, at: int = 0) -> None:
        """Publish what the ``at``-th waiting transaction may."""
        super().publish(self.held.pop(at))


def aggregates(url: str) -> None:
    """Make the table of things that change."""
    owner = Database(url.replace("kit_t:runtime@", "kit_t_owner:owner@"))
    owner.all("create table thing (id text primary key, n int not null)")
    owner.all("grant all on thing to kit_t")
    owner.close()


@contextmanager
def database(url: str, box: Outbox) -> Iterator[Database]:
    """A handle whose transactions emit through ``box``."""
    db = Database(url, outbox=box)
    yield db
    db.close()


def tick(
    db: Database,
    thing: str,
    *,
    isolation: Isolation = "REPEATABLE READ",
    then: Callable[[Tx], Any] | None = None,
) -> int:
    """Change ``thing`` and emit the change; its number."""

    def work(tx: Tx) -> int:
        n = tx.value(
            "insert into thing values (:id, 1)"
            " on conflict (id) do update set n = thing.n + 1 returning n",
            id=thing,
        )
        tx.emit(Ticked(thing=thing, n=n))
        if then:
            then(tx)
        return int(n)

    return db.transaction(work, isolation=isolation)


def backlog(db: Database, rows: int, keys: int) -> None:
    """Unsent rows of nobody, spread over ``keys``, about 500 bytes each."""
    text = (
        '{"event_id":"0199a0b0-0000-7000-8000-0000000000ff","event_type":"TICKED",'
        '"timestamp":"2026-01-15T10:30:00.123456Z","payload":{"thing":"%s","n":%s,"pad":"%s"},'
        '"metadata":{"source_service":"kit","schema_version":1,"correlation_id":"c-0001",'
        '"aggregate_id":"%s","retry_count":0,"hlc":"2026-01-15T10:30:00.123Z-0007"}}'
    )
    db.transaction(
        lambda tx: tx.run(
            "insert into outbox (topic, key, envelope, fence, lease_until)"
            " select 'kit', k, format(:text, k, i / :keys::int + 1, repeat('x', 150), k), 0,"
            "        '-infinity'"
            "   from generate_series(0, :rows::int - 1) as i,"
            "        lateral (select 'key-' || lpad((i % :keys::int)::text, 6, '0') as k) as key",
            text=text,
            rows=rows,
            keys=keys,
        )
    )


def waiting(db: Database) -> int:
    """How many rows are unsent."""
    row = db.one("select count(*) as n from outbox")
    assert row is not None
    return int(row["n"])


def sweeper(db: Database) -> Outbox:
    """The outbox of ``db``."""
    assert isinstance(db.outbox, Outbox)
    return db.outbox
