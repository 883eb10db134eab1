"""An in-memory bus for tests: Pub/Sub's semantics, deliveries only when a test asks for them."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared import bus_filter
from shared.bus import (
    ACKNOWLEDGED,
    BusUnavailable,
    Publishable,
    Push,
    Subscription,
    dead_letter_attributes,
    push_body,
)
from shared.clocks import clock

__all__ = ["MemoryBus", "Receiver"]

Receiver = Callable[[bytes], int]
"""Takes a push's body, returns the HTTP status; an exception is a 500."""


@dataclass(eq=False)
class _Message:
    number: int
    data: bytes
    attributes: dict[str, str]
    key: str | None
    published: datetime
    attempts: int = 0
    due: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.due = self.published


@dataclass(eq=False)
class _Subscribed:
    subscription: Subscription
    receiver: Receiver
    filter: bus_filter.Filter | None
    lanes: dict[str | int, deque[_Message]] = field(default_factory=dict)
    """Ordering key, or the number of a message without one -> messages; heads go first."""


class MemoryBus:
    """A ``Publisher`` whose messages go to functions, by the kit's clock.

    ``publish`` only queues; ``drain`` delivers what is due now. A failed message is due again
    when the clock has moved on by its back-off: see ``next_due``.
    """

    def __init__(self) -> None:
        self.away = False
        """While true, publishing raises BusUnavailable."""
        self._lock = threading.RLock()
        self._topics: set[str] = set()
        self._subscribed: dict[str, _Subscribed] = {}
        self._numbers = itertools.count(1)

    def topic(self, *names: str) -> None:
        """Make topics exist that nobody subscribes to."""
        self._topics.update(names)

    def subscribe(self, subscription: Subscription, receiver: Receiver) -> None:
        """Deliver ``subscription`` to ``receiver``; subscribing anew keeps what waits."""
        wanted = bus_filter.parse(subscription.filter) if subscription.filter else None
        with self._lock:
            self._topics.add(subscription.topic)
            known = self._subscribed.get(subscription.name)
            lanes = known.lanes if known else {}
            self._subscribed[subscription.name] = _Subscribed(subscription, receiver, wanted, lanes)

    def publish(self, topic: str, messages: Sequence[Publishable]) -> None:
        """See ``shared.bus.Publisher``."""
        if self.away or topic not in self._topics:
            raise BusUnavailable("away" if self.away else f"the bus has no topic {topic}")
        with self._lock:
            for message in messages:
                data, key = message.to_json().encode(), message.ordering_key or None
                self._put(topic, data, message.attributes(), key)

    def drain(self) -> int:
        """Deliver everything that is due, also what the receivers publish meanwhile.

        Returns the number of deliveries. Order across keys is the order of publishing.
        """
        done = 0
        while (head := self._next_due()) is not None:
            subscribed, message = head
            if message.due > clock().now():
                break
            self._deliver(subscribed, message)
            done += 1
        return done

    def next_due(self) -> datetime | None:
        """When the next waiting message may be delivered; None when nothing waits."""
        head = self._next_due()
        return head[1].due if head else None

    def waiting(self, subscription: str) -> int:
        """How many messages of ``subscription`` are not yet acknowledged."""
        with self._lock:
            return sum(len(lane) for lane in self._subscribed[subscription].lanes.values())

    def _put(self, topic: str, data: bytes, attributes: dict[str, str], key: str | None) -> None:
        number, now = next(self._numbers), clock().now()
        for subscribed in self._subscribed.values():
            if subscribed.subscription.topic != topic:
                continue
            if subscribed.filter and not subscribed.filter.matches(attributes):
                continue
            lane = subscribed.lanes.setdefault(key or number, deque())
            lane.append(_Message(number, data, dict(attributes), key, now))

    def _next_due(self) -> tuple[_Subscribed, _Message] | None:
        with self._lock:
            heads = [(s, lane[0]) for s in self._subscribed.values() for lane in s.lanes.values()]
        return min(heads, key=lambda head: (head[1].due, head[1].number), default=None)

    def _deliver(self, subscribed: _Subscribed, message: _Message) -> None:
        subscription = subscribed.subscription
        limited = subscription.dead_letter_topic is not None
        push = Push(
            data=message.data,
            attributes=message.attributes,
            message_id=str(message.number),
            publish_time=message.published,
            subscription=subscription.name,
            ordering_key=message.key,
            delivery_attempt=message.attempts + 1 if limited else None,
        )
        try:
            status = subscribed.receiver(push_body(push))
        except Exception:  # noqa: BLE001 -- what a server would answer
            status = 500
        with self._lock:
            if status in ACKNOWLEDGED:
                self._leave(subscribed, message)
                return
            message.attempts += 1
            if subscription.dead_letter_topic and message.attempts >= subscription.max_attempts:
                extra = dead_letter_attributes(subscription, message.attempts, message.published)
                self._leave(subscribed, message)
                self._put(
                    subscription.dead_letter_topic,
                    message.data,
                    {**message.attributes, **extra},
                    message.key,
                )
                return
            pause = subscription.backoff(message.attempts)
            message.due = clock().now() + timedelta(seconds=pause)

    def _leave(self, subscribed: _Subscribed, message: _Message) -> None:
        name: str | int = message.key or message.number
        lane = subscribed.lanes[name]
        lane.popleft()
        if not lane:
            del subscribed.lanes[name]
