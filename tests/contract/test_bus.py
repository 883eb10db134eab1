"""One suite for every bus: in memory, embedded, and Pub/Sub on Google's own emulator."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from infra.local.emulator import EmulatorMissing, PubSubEmulator
from shared.bus import BusUnavailable, Publisher, Push
from tests.bus_receiver import Text
from tests.contract.bus_harness import (
    EmbeddedHarness,
    EmulatorHarness,
    Harness,
    MemoryHarness,
    needs,
    running_emulator,
    sign,
)


class BusContract:
    """What every implementation does. A subclass names one in its ``bus`` fixture."""

    @pytest.fixture(autouse=True)
    def _excuses(self, request: pytest.FixtureRequest, bus: Harness) -> None:
        if reason := bus.lacks.get(getattr(request.function, "needs", "")):
            pytest.skip(reason)

    def test_delivers_what_was_published(self, bus: Harness) -> None:
        """A published message arrives with its text and attributes."""
        receiver = bus.subscribe()
        bus.publish(Text("hello, Ștefan", kind="GREETED"))
        bus.until(lambda: bool(receiver.received))
        push = receiver.received[0].push
        assert "hello, Ștefan" == push.data.decode()
        assert {"event_type": "GREETED"} == push.attributes

    def test_every_subscription_has_its_share(self, bus: Harness) -> None:
        """Each subscription of a topic gets every message, under one message id."""
        one, two = bus.subscribe(), bus.subscribe()
        bus.publish(Text("for all"))
        bus.until(lambda: bool(one.received and two.received))
        assert one.received[0].push.message_id == two.received[0].push.message_id

    def test_topics_are_apart(self, bus: Harness) -> None:
        """A subscription hears nothing of other topics."""
        here, there = bus.subscribe("here"), bus.subscribe("there")
        bus.publish(Text("one"), topic="there")
        bus.publish(Text("two"), topic="here")
        bus.until(lambda: bool(here.received and there.received))
        assert (["two"], ["one"]) == (here.texts(), there.texts())

    def test_keeps_the_order_of_a_key(self, bus: Harness) -> None:
        """Messages of one key arrive in the order of publishing, over batches too."""
        receiver = bus.subscribe()
        texts = [str(number) for number in range(30)]
        bus.publish(*(Text(text, "key") for text in texts[:20]))
        bus.publish(*(Text(text, "key") for text in texts[20:]))
        bus.until(lambda: len(receiver.handled()) >= 30)
        assert texts == list(dict.fromkeys(receiver.handled()))

    def test_a_failure_keeps_its_key_in_order(self, bus: Harness) -> None:
        """While the first message of a key fails, the later ones of that key wait."""
        receiver = bus.subscribe()
        receiver.fail("first", times=1)
        bus.publish(Text("first", "key"), Text("second", "key"))
        bus.until(lambda: "second" in receiver.handled())
        assert ["first", "first", "second"] == receiver.texts()

    def test_a_failing_key_holds_up_no_other(self, bus: Harness) -> None:
        """Other keys, and messages without one, go on while one key fails."""
        receiver = bus.subscribe()
        receiver.fail("stuck")
        bus.publish(Text("stuck", "one"), Text("behind", "one"), Text("free", "two"), Text("bare"))
        bus.until(lambda: {"free", "bare"} <= set(receiver.handled()))
        assert "behind" not in receiver.texts()

    def test_repeats_until_acknowledged(self, bus: Harness) -> None:
        """A failed message comes again, as the same message."""
        receiver = bus.subscribe()
        receiver.fail("again", times=1)
        bus.publish(Text("again"))
        bus.until(lambda: bool(receiver.handled()))
        assert 1 == len({received.push.message_id for received in receiver.received})
        assert [500, 204] == [received.status for received in receiver.received]

    @needs("attempts")
    def test_counts_delivery_attempts(self, bus: Harness) -> None:
        """Each delivery tells its number where a dead-letter topic limits them."""
        bus.subscribe("dead")
        receiver = bus.subscribe(dead_letter_topic="dead", min_backoff=0.02)
        receiver.fail("again", times=3)
        bus.publish(Text("again"))
        bus.until(lambda: bool(receiver.handled()))
        assert [1, 2, 3, 4] == [r.push.delivery_attempt for r in receiver.received]

    @needs("back-off")
    def test_waits_longer_after_each_failure(self, bus: Harness) -> None:
        """The pauses double from the least to the greatest back-off."""
        receiver, least = bus.subscribe(min_backoff=0.1, max_backoff=0.3), [0.1, 0.2, 0.3, 0.3]
        shortest = [float("inf")] * len(least)
        for number in range(20):  # a machine that is busy lengthens a pause, but not each time
            receiver.fail(f"again {number}", times=4)
            bus.publish(Text(f"again {number}"))
            bus.until(lambda wanted=f"again {number}": wanted in receiver.handled())  # type: ignore[misc]
            mine = [one.at for one in receiver.received if one.text == f"again {number}"]
            pauses = [later - earlier for earlier, later in pairwise(mine)]
            assert all(a - 0.001 <= b for a, b in zip(least, pauses, strict=True)), pauses
            shortest = list(map(min, shortest, pauses))
            if all(b < a + 0.15 for a, b in zip(least, shortest, strict=True)):
                return
        pytest.fail(f"each time some pause was too long: {shortest}")

    @needs("dead letters")
    def test_gives_up_into_the_dead_letters(self, bus: Harness) -> None:
        """After its last attempt a message moves to the dead-letter topic and says whence."""
        dead = bus.subscribe("dead")
        receiver = bus.subscribe(dead_letter_topic="dead", max_attempts=3, min_backoff=0.02)
        receiver.fail("poison")
        bus.publish(Text("poison", "key", "BAD"), Text("after", "key"))
        bus.until(lambda: bool(dead.received) and "after" in receiver.handled())
        assert ["poison", "poison", "poison", "after"] == receiver.texts()
        push = dead.received[0].push
        told = dict(push.attributes)
        assert "poison" == push.data.decode()
        assert receiver.received[0].push.message_id != push.message_id
        assert "BAD" == told["event_type"]
        assert "3" == told["CloudPubSubDeadLetterSourceDeliveryCount"]
        source = receiver.received[0].push.subscription
        assert source == told["CloudPubSubDeadLetterSourceSubscription"]
        assert "CloudPubSubDeadLetterSourceSubscriptionProject" in told
        assert "CloudPubSubDeadLetterSourceTopicPublishTime" in told

    def test_tries_for_ever_without_a_dead_letter_topic(self, bus: Harness) -> None:
        """Where no dead-letter topic is named, the number of attempts has no end."""
        receiver = bus.subscribe(max_attempts=1, min_backoff=0.02)
        receiver.fail("stubborn", times=2)
        bus.publish(Text("stubborn"))
        bus.until(lambda: bool(receiver.handled()))
        assert 3 == len(receiver.received)
        assert receiver.received[-1].push.delivery_attempt is None

    @needs("filters")
    def test_filters(self, bus: Harness) -> None:
        """A subscription with a filter gets what matches it, the others everything."""
        some = bus.subscribe(filter='attributes.event_type = "A" OR NOT attributes:event_type')
        every = bus.subscribe()
        bus.publish(Text("1", kind="A"), Text("2", kind="B"), Text("3"))
        bus.until(lambda: len(every.received) == 3 and len(some.received) == 2)
        bus.settle(0.1)
        assert {"1", "3"} == set(some.texts())

    @needs("durable")
    def test_survives_a_restart(self, bus: Harness) -> None:
        """What was published and not acknowledged is delivered after a restart; attempts go on."""
        bus.subscribe("dead")
        receiver = bus.subscribe(dead_letter_topic="dead", min_backoff=0.05)
        receiver.fail("kept")
        bus.publish(Text("kept", "key"), Text("behind", "key"))
        bus.until(lambda: len(receiver.received) >= 2)
        bus.restart()
        failed = len(receiver.received)
        receiver.answer = lambda push: 204
        bus.until(lambda: len(receiver.handled()) >= 2)
        assert ["kept", "behind"] == receiver.handled()
        assert (receiver.received[failed].push.delivery_attempt or 0) > 1

    def test_loses_nothing(self, bus: Harness) -> None:
        """With every fifth delivery failing, all messages arrive, in order per key."""
        chance = random.Random(7)
        receiver = bus.subscribe(min_backoff=0.02)
        receiver.answer = lambda push: 500 if _first(push) and chance.random() < 0.2 else 204
        seen: set[str] = set()

        def _first(push: Push) -> bool:
            # Fails at most once: the emulator takes a second for each repetition.
            fresh = push.message_id not in seen
            seen.add(push.message_id)
            return fresh

        sent = [Text(f"{key}:{number}", key) for number in range(3) for key in "abcdefghij"]
        for start in range(0, len(sent), 10):
            bus.publish(*sent[start : start + 10])
        bus.until(lambda: {m.text for m in sent} <= set(receiver.handled()))
        by_key: dict[str, list[str]] = defaultdict(list)
        for text in dict.fromkeys(receiver.handled()):
            by_key[text[0]].append(text)
        assert [[f"{key}:{n}" for n in range(3)] for key in "abcdefghij"] == [
            by_key[key] for key in "abcdefghij"
        ]

    def test_speaks_pubsubs_wire_format(self, bus: Harness) -> None:
        """A push is JSON as Pub/Sub documents it, with both spellings of its members."""
        receiver = bus.subscribe()
        bus.publish(Text("wire", "key", "A"))
        bus.until(lambda: bool(receiver.received))
        body: dict[str, Any] = json.loads(receiver.received[0].body)
        message = body["message"]
        assert receiver.received[0].push.subscription == body["subscription"].split("/")[-1]
        assert body["subscription"].startswith("projects/dentalhelp/subscriptions/")
        assert "d2lyZQ==" == message["data"]
        assert {"event_type": "A"} == message["attributes"]
        assert message["messageId"] == message["message_id"]
        assert message["publishTime"] == message["publish_time"]
        assert message["publishTime"].endswith("Z")
        assert "deliveryAttempt" not in body

    @needs("key told")
    def test_tells_the_ordering_key(self, bus: Harness) -> None:
        """A push names the message's key; one without a key names none."""
        receiver = bus.subscribe()
        bus.publish(Text("keyed", "key"), Text("bare"))
        bus.until(lambda: len(receiver.received) == 2)
        assert {"keyed": "key", "bare": None} == {
            r.text: r.push.ordering_key for r in receiver.received
        }

    @needs("signed")
    def test_signs_its_pushes(self, bus: Harness) -> None:
        """A push carries the token that is meant for the subscribed service."""
        receiver = bus.subscribe()
        bus.publish(Text("signed"))
        bus.until(lambda: bool(receiver.received))
        assert f"Bearer {sign('consumer')}" == receiver.received[0].authorization

    def test_refuses_an_unknown_topic(self, bus: Harness) -> None:
        """A message for a topic that does not exist is refused, and stays with its sender."""
        with pytest.raises(BusUnavailable):
            bus.publish(Text("lost"), topic="nowhere")

    def test_a_refused_key_can_be_published_again(self, bus: Harness) -> None:
        """A publish that failed does not block its key: the sender repeats it later."""
        with pytest.raises(BusUnavailable):
            bus.publish(Text("early", "key"), topic="late")
        receiver = bus.subscribe("late")
        bus.publish(Text("early", "key"), topic="late")
        bus.until(lambda: bool(receiver.handled()))
        assert ["early"] == receiver.texts()

    def test_says_when_it_is_away(self, bus: Harness) -> None:
        """Publishing to a bus that cannot be reached raises BusUnavailable."""
        away = bus.away()
        with pytest.raises(BusUnavailable):
            away.publish("topic", [Text("nobody hears")])

    def test_publishing_nothing_is_nothing(self, bus: Harness) -> None:
        """An empty batch is not an error."""
        receiver = bus.subscribe()
        bus.publish()
        bus.settle(0.05)
        assert [] == receiver.received


class TestMemory(BusContract):
    """``shared.testing_bus``."""

    @pytest.fixture
    def bus(self) -> Iterator[Harness]:
        """The in-memory bus."""
        harness = MemoryHarness()
        yield harness
        harness.close()


class TestEmbedded(BusContract):
    """``shared.bus_embedded`` with the dispatcher."""

    @pytest.fixture
    def bus(self, bus_url: str, tmp_path: Path) -> Iterator[Harness]:
        """The embedded bus on a database of this module."""
        harness = EmbeddedHarness(bus_url, tmp_path)
        yield harness
        harness.close()


@pytest.fixture(scope="session")
def emulator(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[PubSubEmulator, Publisher, Publisher]]:
    """The emulator, a publisher to it and one to an address where nobody listens."""
    try:
        with running_emulator(tmp_path_factory.mktemp("emulator")) as running:
            yield running
    except EmulatorMissing as missing:
        pytest.skip(f"Pub/Sub is not tested on Google's emulator: {missing}")


class TestPubSub(BusContract):
    """``shared.bus_pubsub`` on Google's emulator; skipped, loudly, where that is not installed."""

    @pytest.fixture
    def bus(self, emulator: tuple[PubSubEmulator, Publisher, Publisher]) -> Iterator[Harness]:
        """Pub/Sub with topics of this test."""
        harness = EmulatorHarness(*emulator)
        yield harness
        harness.close()
