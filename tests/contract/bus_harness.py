"""What the bus's contract suite needs of an implementation, for each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import pytest

from infra.local.dispatcher import Dispatcher
from infra.local.emulator import PubSubEmulator
from shared import clocks
from shared.bus import BusUnavailable, Publisher, Subscription
from shared.bus_embedded import EmbeddedBus
from shared.bus_pubsub import PubSubBus
from shared.testing_bus import MemoryBus
from tests.bus_receiver import HttpReceiver, Receiver, Text

__all__ = [
    "EmbeddedHarness",
    "EmulatorHarness",
    "Harness",
    "MemoryHarness",
    "needs",
    "running_emulator",
    "sign",
]

PATIENCE = 60.0  # seconds; a slow machine is no fault of the bus


Test = TypeVar("Test", bound=Callable[..., None])


def needs(case: str) -> Callable[[Test], Test]:
    """Skip the test, loudly, on an implementation that says why it lacks ``case``."""

    def mark(test: Test) -> Test:
        test.needs = case  # type: ignore[attr-defined]
        return test

    return mark


def sign(service: str) -> str:
    """A stand-in for a push token that names its audience."""
    return f"token-for-{service}"


class Harness(Protocol):
    """One implementation, wired to receivers. Topics are new in every harness."""

    lacks: dict[str, str]
    """Case -> why this implementation is excused from it."""

    def subscribe(self, topic: str = "topic", **settings: Any) -> Receiver:
        """A receiver of ``topic``; ``settings`` are Subscription's fields."""
        ...

    def publish(self, *messages: Text, topic: str = "topic") -> None:
        """Publish in one batch."""
        ...

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the bus work until ``condition`` holds; AssertionError when it never does."""
        ...

    def settle(self, seconds: float) -> None:
        """Let the bus work for ``seconds``."""
        ...

    def restart(self) -> None:
        """Stop delivering, and start anew with nothing but what is durable."""
        ...

    def away(self) -> Publisher:
        """A publisher to a bus that cannot be reached."""
        ...

    def close(self) -> None:
        """Stop everything."""
        ...


class _Wiring:
    """Names that no other harness uses, and the subscriptions made so far."""

    def __init__(self) -> None:
        self._tag = uuid4().hex[:8]
        self.subscriptions: list[Subscription] = []
        self.receivers: list[HttpReceiver] = []

    def topic(self, name: str) -> str:
        return f"{name}-{self._tag}"

    def subscription(self, topic: str, endpoint: str, **settings: Any) -> Subscription:
        made = Subscription(
            name=f"consumer{len(self.subscriptions)}.{self.topic(topic)}",
            topic=self.topic(topic),
            service="consumer",
            endpoint=endpoint,
            **settings,
        )
        if made.dead_letter_topic:
            made = replace(made, dead_letter_topic=self.topic(made.dead_letter_topic))
        self.subscriptions.append(made)
        return made

    def receiver(self) -> HttpReceiver:
        self.receivers.append(HttpReceiver())
        return self.receivers[-1]


class MemoryHarness:
    """The in-memory bus; time moves only when the bus waits."""

    lacks = {  # noqa: RUF012
        "durable": "the in-memory bus lives and dies with its process",
        "signed": "the in-memory bus calls functions: nobody to prove anything to",
    }

    def __init__(self) -> None:
        self._bus, self._wiring = MemoryBus(), _Wiring()
        self._now = datetime.fromisoformat("2026-01-15T10:30:00Z")
        self._before = clocks.set_clock(self)

    def now(self) -> datetime:
        """The harness is the clock."""
        return self._now

    def subscribe(self, topic: str = "topic", **settings: Any) -> Receiver:
        receiver = Receiver()

        def take(body: bytes) -> int:
            status = receiver.take(body)
            # The clock stands still during a delivery; what counts is the bus's time.
            last = receiver.received[-1]
            at = (self._now - datetime.fromisoformat("2026-01-15T10:30:00Z")).total_seconds()
            receiver.received[-1] = replace(last, at=at)
            return status

        self._bus.subscribe(self._wiring.subscription(topic, "", **settings), take)
        return receiver

    def publish(self, *messages: Text, topic: str = "topic") -> None:
        self._bus.publish(self._wiring.topic(topic), messages)

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(1000):
            self._bus.drain()
            if condition():
                return
            due = self._bus.next_due()
            assert due is not None, "nothing is left to deliver"
            self._now = max(self._now, due)
        raise AssertionError("it never came true")

    def settle(self, seconds: float) -> None:
        self._bus.drain()
        self._now += timedelta(seconds=seconds)
        self._bus.drain()

    def restart(self) -> None:
        raise NotImplementedError

    def away(self) -> Publisher:
        bus = MemoryBus()
        bus.away = True
        return bus

    def close(self) -> None:
        clocks.set_clock(self._before)


class _RealTime:
    """Waiting for a bus that works by itself."""

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"it did not come true within {PATIENCE} s"
            time.sleep(0.005)

    def settle(self, seconds: float) -> None:
        time.sleep(seconds)


class EmbeddedHarness(_RealTime):
    """The embedded bus on ``url`` with a dispatcher of its own."""

    lacks: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, url: str, directory: Path) -> None:
        self._url, self._socket, self._wiring = url, directory / "poke", _Wiring()
        self._bus = EmbeddedBus(url, poke_socket=str(self._socket))
        self._dispatcher: Dispatcher | None = None

    def subscribe(self, topic: str = "topic", **settings: Any) -> Receiver:
        receiver = self._wiring.receiver()
        self._wiring.subscription(topic, receiver.url, **settings)
        self.restart()
        return receiver

    def publish(self, *messages: Text, topic: str = "topic") -> None:
        self._bus.publish(self._wiring.topic(topic), messages)

    def restart(self) -> None:
        if self._dispatcher:
            self._dispatcher.stop()
        topics = {s.dead_letter_topic for s in self._wiring.subscriptions if s.dead_letter_topic}
        if topics <= {s.topic for s in self._wiring.subscriptions}:
            self._dispatcher = Dispatcher(
                self._url, self._wiring.subscriptions, sign, poke_socket=self._socket
            )
            self._dispatcher.start()

    def away(self) -> Publisher:
        return EmbeddedBus("postgresql://bus@/bus?host=/nowhere")

    def close(self) -> None:
        if self._dispatcher:
            self._dispatcher.stop()
        for receiver in self._wiring.receivers:
            receiver.close()


class EmulatorHarness(_RealTime):
    """Pub/Sub's publisher with Google's emulator behind it."""

    lacks = {  # noqa: RUF012
        "filters": "Google's Pub/Sub emulator accepts filters and ignores them",
        "dead letters": "Google's Pub/Sub emulator accepts dead-letter policies and ignores them",
        "attempts": "Google's Pub/Sub emulator does not tell delivery attempts",
        "back-off": "Google's Pub/Sub emulator repeats each second, whatever the retry policy",
        "key told": "Google's Pub/Sub emulator leaves the ordering key out of its pushes",
        "durable": "Google's Pub/Sub emulator keeps everything in memory",
    }

    def __init__(self, emulator: PubSubEmulator, publisher: Publisher, away: Publisher) -> None:
        self._emulator, self._bus, self._away = emulator, publisher, away
        self._wiring = _Wiring()

    def subscribe(self, topic: str = "topic", **settings: Any) -> Receiver:
        receiver = self._wiring.receiver()
        made = self._wiring.subscription(topic, receiver.url, **settings)
        self._emulator.configure([made])
        return receiver

    def publish(self, *messages: Text, topic: str = "topic") -> None:
        self._bus.publish(self._wiring.topic(topic), messages)

    def restart(self) -> None:
        raise NotImplementedError

    def away(self) -> Publisher:
        return self._away

    def close(self) -> None:
        for receiver in self._wiring.receivers:
            receiver.close()


@contextmanager
def running_emulator(logs: Path) -> Iterator[tuple[PubSubEmulator, Publisher, Publisher]]:
    """The emulator, a publisher to it and one to an address where nobody listens.

    Raises EmulatorMissing.
    """
    emulator = PubSubEmulator(logs, sign)
    emulator.start()
    with pytest.MonkeyPatch.context() as patch:
        # The client reads its address when it is made, at the first publish.
        patch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
        away = PubSubBus("dentalhelp", timeout=1.0)
        with suppress(BusUnavailable):
            away.publish("topic", [Text("makes its client", "key")])
        patch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
        yield emulator, PubSubBus("dentalhelp"), away
    emulator.stop()
