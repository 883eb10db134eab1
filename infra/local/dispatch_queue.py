"""What the dispatcher holds in memory, and which message may be pushed next.

Pure scheduling: no database and no network, so every rule can be tested by itself. Messages of
one (subscription, key) stand in a lane whose head alone is pushed; a failed head waits for its
time and its lane with it. A service that cannot be reached pauses as a whole.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.bus import Subscription

__all__ = ["Delivery", "DispatchQueue", "LaneName", "Outcome", "Verdict"]

LaneName = tuple[str, str]
"""Subscription's name and ordering key."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0  # seconds between two tries to reach a service


class Outcome(enum.Enum):
    """How a push ended."""

    ACKNOWLEDGED = enum.auto()
    FAILED = enum.auto()
    """The service answered with any other status, or broke off."""
    SILENT = enum.auto()
    """No answer within the deadline."""
    BUSY = enum.auto()
    """503: the service says that it cannot work now."""
    UNREACHABLE = enum.auto()
    """Nobody listens: the message has not left."""


class Verdict(enum.Enum):
    """What must be made durable after a push."""

    DELETE = enum.auto()
    COUNT = enum.auto()
    """Store ``attempts``."""
    DEAD_LETTER = enum.auto()
    NOTHING = enum.auto()


@dataclass(eq=False, slots=True)
class Delivery:
    """One message on its way to one subscription."""

    id: int
    subscription: Subscription
    key: str | None
    message_id: str
    data: str  # base64
    attributes: Mapping[str, str]
    published_at: datetime
    attempts: int  # failed deliveries that count towards the dead letter
    failures: int = 0  # failures in a row that set the pause, counted or not
    excused_at: int | None = None  # the target's successes when a 503 was last excused


@dataclass(eq=False, slots=True)
class _Lane:
    waiting: deque[Delivery] = field(default_factory=deque)
    last: int = 0  # the largest row id that ever entered
    spilled: bool = False  # more rows stand in the database than here


@dataclass(eq=False, slots=True)
class _Target:
    ready: deque[Delivery] = field(default_factory=deque)
    active: int = 0
    doubtful: bool = False  # the last push got no answer: probe with one message at a time
    refusals: int = 0
    paused_until: float = 0.0
    successes: int = 0


class DispatchQueue:
    """Thread-safe. ``wake`` is called when there is room, or need, for rows from the database."""

    def __init__(
        self, *, pushers: int, wake: Callable[[], None], limit: int = 1000, lane_limit: int = 100
    ) -> None:
        """At most ``limit`` messages per subscription and ``lane_limit`` per key are held."""
        # One slow service must leave pushers for the others.
        self._cap = max(1, pushers // 2)
        self._wake, self._limit, self._lane_limit = wake, limit, lane_limit
        self._changed = threading.Condition()
        self._lanes: dict[LaneName, _Lane] = {}
        self._targets: dict[str, _Target] = {}
        self._later: list[tuple[float, int, Delivery]] = []
        self._order = itertools.count()
        self._held: Counter[str] = Counter()
        self._known: set[int] = set()
        self._refills: set[LaneName] = set()
        self._closed = False

    def room(self, subscription: str) -> int:
        """How many more messages of ``subscription`` may be added."""
        with self._changed:
            return max(0, self._limit - self._held[subscription])

    def known(self) -> list[int]:
        """The row ids in memory or not yet settled: they must not be taken again."""
        with self._changed:
            return list(self._known)

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Take in deliveries, ordered by row id; known ones and a full lane's are passed over."""
        with self._changed:
            for delivery in deliveries:
                if delivery.id in self._known:
                    continue
                if delivery.key is None:
                    self._enter(delivery)
                    self._make_ready(delivery)
                else:
                    self._join(self._lane(delivery), delivery)

    def refills(self) -> list[tuple[LaneName, int]]:
        """Lanes that need the rest of their rows: name and the row id to go on after."""
        with self._changed:
            wanted, self._refills = self._refills, set()
            return [(name, self._lanes[name].last) for name in wanted if name in self._lanes]

    def refill(self, name: LaneName, deliveries: Iterable[Delivery], *, complete: bool) -> None:
        """Continue a lane; ``complete`` says that the database holds no more of it."""
        with self._changed:
            lane = self._lanes.setdefault(name, _Lane())
            lane.spilled = False
            for delivery in deliveries:
                if delivery.id not in self._known:
                    self._join(lane, delivery, refilling=True)
            lane.spilled = not complete
            if not lane.waiting:
                if complete:
                    del self._lanes[name]
                else:
                    self._refills.add(name)
                    self._wake()

    def next(self) -> Delivery | None:
        """Wait for a delivery that may be pushed now; None when the queue was closed."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    self._make_ready(heapq.heappop(self._later)[2])
                soonest = self._later[0][0] if self._later else now + 3600
                for service, target in self._targets.items():
                    if not target.ready or target.active >= (1 if target.doubtful else self._cap):
                        continue
                    if target.paused_until > now:
                        soonest = min(soonest, target.paused_until)
                        continue
                    # To the end of the round: services take turns.
                    self._targets[service] = self._targets.pop(service)
                    target.active += 1
                    return target.ready.popleft()
                self._changed.wait(soonest - now)
            return None

    def done(self, delivery: Delivery, outcome: Outcome) -> Verdict:
        """Record how the push of ``delivery`` ended and decide what follows."""
        with self._changed:
            target = self._targets[delivery.subscription.service]
            target.active -= 1
            if outcome is Outcome.UNREACHABLE:
                return self._unreachable(target, delivery)
            if target.doubtful and outcome is not Outcome.SILENT:
                target.doubtful, target.refusals = False, 0
                self._changed.notify_all()
            if outcome is Outcome.ACKNOWLEDGED:
                target.successes += 1
                self._leave(delivery)
                return Verdict.DELETE
            target.doubtful = outcome is Outcome.SILENT
            delivery.failures += 1
            excused = outcome is Outcome.BUSY and self._excused(target, delivery)
            delivery.attempts += not excused
            subscription = delivery.subscription
            if subscription.dead_letter_topic and delivery.attempts >= subscription.max_attempts:
                self._leave(delivery)
                return Verdict.DEAD_LETTER
            due = time.monotonic() + subscription.backoff(delivery.failures)
            heapq.heappush(self._later, (due, next(self._order), delivery))
            return Verdict.NOTHING if excused else Verdict.COUNT

    def forget(self, ids: Iterable[int]) -> None:
        """The rows ``ids`` are gone from the database."""
        with self._changed:
            self._known.difference_update(ids)

    def close(self) -> None:
        """Let every ``next`` return None from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _unreachable(self, target: _Target, delivery: Delivery) -> Verdict:
        """Nothing was delivered, so nothing counts: else a service that is down for minutes
        would find its messages among the dead letters when it returns. The service pauses."""
        now = time.monotonic()
        if target.paused_until <= now:
            pause = min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2.0 ** min(target.refusals, 10))
            target.paused_until = now + pause
            target.refusals += 1
        target.doubtful = True
        target.ready.appendleft(delivery)
        return Verdict.NOTHING

    def _excused(self, target: _Target, delivery: Delivery) -> bool:
        """A 503 counts only if the service handled other messages since this one's last 503:
        then it is about this message and not about a database that is away."""
        seen, delivery.excused_at = delivery.excused_at, target.successes
        return seen is None or seen == target.successes

    def _lane(self, delivery: Delivery) -> _Lane:
        name = (delivery.subscription.name, delivery.key or "")
        return self._lanes.setdefault(name, _Lane())

    def _join(self, lane: _Lane, delivery: Delivery, *, refilling: bool = False) -> None:
        # A row with a smaller id than the last was committed late: no refill would find it.
        late = delivery.id <= lane.last
        if not refilling and not late and (lane.spilled or len(lane.waiting) >= self._lane_limit):
            lane.spilled = True
            return
        lane.last = max(lane.last, delivery.id)
        lane.waiting.append(delivery)
        self._enter(delivery)
        if len(lane.waiting) == 1:
            self._make_ready(delivery)

    def _enter(self, delivery: Delivery) -> None:
        delivery.failures = delivery.attempts
        self._known.add(delivery.id)
        self._held[delivery.subscription.name] += 1
        self._targets.setdefault(delivery.subscription.service, _Target())

    def _make_ready(self, delivery: Delivery) -> None:
        self._targets[delivery.subscription.service].ready.append(delivery)
        self._changed.notify()

    def _leave(self, delivery: Delivery) -> None:
        subscription = delivery.subscription.name
        self._held[subscription] -= 1
        if self._held[subscription] == self._limit // 2:
            self._wake()
        if delivery.key is None:
            return
        name = (subscription, delivery.key)
        lane = self._lanes[name]
        lane.waiting.popleft()
        if lane.waiting:
            self._make_ready(lane.waiting[0])
        if lane.spilled and len(lane.waiting) <= self._lane_limit // 2:
            self._refills.add(name)
            self._wake()
        elif not lane.waiting:
            del self._lanes[name]
