"""The embedded bus's tables: configuration, and the filters that PostgreSQL applies."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import pytest

from shared import bus_filter
from shared.bus import BusUnavailable, Subscription
from shared.bus_embedded import EmbeddedBus, configure, drop
from shared.db import Database
from tests.bus_receiver import Text
from tests.unit.test_bus_filter import MATCHING, MESSAGES


def subscription(name: str, topic: str, **settings: str) -> Subscription:
    """A subscription that nobody serves."""
    return Subscription(name, topic, "consumer", "http://127.0.0.1:1/", **settings)  # type: ignore[arg-type]


def waiting(database: Database, name: str) -> int:
    """How many messages wait in the subscription ``name``."""
    row = database.one(
        "select count(*) as n from delivery d join subscription s on s.id = d.subscription"
        " where s.name = :name",
        name=name,
    )
    assert row is not None
    return int(row["n"])


@pytest.fixture
def topic() -> str:
    """A topic of this test."""
    return f"topic-{uuid4().hex[:8]}"


def test_configuring_twice_changes_nothing(bus_url: str, topic: str) -> None:
    """The same configuration again gives the same rows and keeps what waits."""
    database, wanted = Database(bus_url), [subscription(f"a.{topic}", topic)]
    first = configure(database, wanted)
    EmbeddedBus(bus_url).publish(topic, [Text("waits")])
    assert first == configure(database, wanted)
    assert 1 == waiting(database, f"a.{topic}")


def test_a_subscription_goes_only_when_told(bus_url: str, topic: str) -> None:
    """One that the configuration no longer names goes on collecting until it is dropped."""
    database = Database(bus_url)
    gone, stays = f"gone.{topic}", f"stays.{topic}"
    configure(database, [subscription(gone, topic), subscription(stays, topic)])
    configure(database, [subscription(stays, topic)])
    EmbeddedBus(bus_url).publish(topic, [Text("for both")])
    assert 1 == waiting(database, gone)
    drop(database, gone)
    assert (0, 1) == (waiting(database, gone), waiting(database, stays))


def test_a_changed_filter_holds_from_now_on(bus_url: str, topic: str) -> None:
    """Messages published before the change stay; later ones pass the new filter."""
    database, bus, name = Database(bus_url), EmbeddedBus(bus_url), f"a.{topic}"
    configure(database, [subscription(name, topic)])
    bus.publish(topic, [Text("1", kind="B")])
    configure(database, [subscription(name, topic, filter='attributes.event_type = "A"')])
    bus.publish(topic, [Text("2", kind="A"), Text("3", kind="B")])
    assert 2 == waiting(database, name)


def test_dead_letters_must_be_heard(bus_url: str, topic: str) -> None:
    """A dead-letter topic that nobody subscribes to is refused: its messages would vanish."""
    lost = subscription(f"a.{topic}", topic, dead_letter_topic="nobody-listens")
    with pytest.raises(ValueError, match="nobody-listens"):
        configure(Database(bus_url), [lost])


def test_a_topic_may_have_no_subscriber(bus_url: str, topic: str) -> None:
    """Publishing to a known topic without subscribers is fine, to an unknown one it is not."""
    bus = EmbeddedBus(bus_url)
    with pytest.raises(BusUnavailable):
        bus.publish(topic, [Text("early")])
    configure(Database(bus_url), [], topics=[topic])
    bus.publish(topic, [Text("heard by none")])


def test_says_quickly_that_it_is_away() -> None:
    """A bus database that cannot be reached costs the sender little time."""
    begun = time.monotonic()
    with pytest.raises(BusUnavailable):
        EmbeddedBus("postgresql://bus@/bus?host=/nowhere").publish("topic", [Text("x")])
    assert time.monotonic() - begun < 20.0


@pytest.mark.parametrize("text", [text for text, _ in MATCHING])
def test_postgresql_agrees_on_every_filter(bus_url: str, text: str) -> None:
    """The compiled filter decides as the in-memory one does."""
    compiled = bus_filter.parse(text)
    rows = Database(bus_url).all(
        "select value::jsonb @@ :filter::jsonpath as hit"
        " from json_array_elements_text(:messages::json)",
        filter=compiled.jsonpath,
        messages=json.dumps([json.dumps(message) for message in MESSAGES]),
    )
    assert [compiled.matches(message) for message in MESSAGES] == [row["hit"] for row in rows]
