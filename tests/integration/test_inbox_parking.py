"""The inbox and messages it cannot handle: parked with a reason that repeats no data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import clocks, dead_letters
from shared.db import Database
from shared.errors import Reject
from shared.messages import Envelope
from shared.outbox import Outbox
from tests.integration.inbox_stack import (
    TOPIC,
    deliver,
    effects,
    event,
    letter,
    raises,
    seen,
)
from tests.integration.outbox_stack import RecordingBus, aggregates, database


@pytest.fixture(scope="module")
def url(kit_db: Callable[[], str]) -> str:
    """One database for this module."""
    made = kit_db()
    aggregates(made)
    return made


@pytest.fixture
def bus() -> RecordingBus:
    """What the consumer publishes."""
    return RecordingBus()


@pytest.fixture
def db(url: str, bus: RecordingBus) -> Iterator[Database]:
    """The consumer's database."""
    raises.clear()
    seen.clear()
    with database(url, Outbox("consumer", bus)) as made:
        yield made


def test_a_rejected_message_is_parked_without_effect(db: Database, bus: RecordingBus) -> None:
    """A handler's Reject is a dead letter with its reason, once."""
    env = event("never")
    raises["never"] = lambda: Reject("no such thing\0 anywhere")
    assert ["rejected", "rejected"] == [deliver(db, env), deliver(db, env)]
    assert (0, []) == (effects(db, "never"), bus.sent)
    assert "no such thing\N{REPLACEMENT CHARACTER} anywhere" == letter(db, env.event_id)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"to": "north"}, "MOVED: to: int_parsing"),
        ({"notes": {"secret\0": "x"}}, "MOVED: notes: int_parsing"),
        ({"schema_version": 3}, "MOVED: version 3 is unknown here"),
        ({"schema_version": 0}, "MOVED: version 0 is unknown here"),
        ({"schema_version": 1}, "MOVED: version 1: KeyError"),
        ({"hlc": "yesterday"}, "not a hybrid clock stamp"),
        ({"thing": "nul\0"}, "SQLSTATE 22021"),
    ],
)
def test_what_can_never_be_handled_is_parked(
    db: Database, bus: RecordingBus, changes: dict[str, Any], reason: str
) -> None:
    """Bad payloads, versions and stamps are dead letters whose reason repeats no data."""
    env = event("bad", **changes)
    assert "rejected" == deliver(db, env, TOPIC)
    assert (reason, 0, []) == (letter(db, env.event_id), effects(db, "bad"), bus.sent)


def test_an_older_version_is_brought_up_to_date(db: Database) -> None:
    """A payload of version 1 passes through the upcaster."""
    env = event("old", schema_version=1, where=4, to=None)
    assert ("handled", 1) == (deliver(db, env), effects(db, "old"))


def test_a_parked_message_keeps_its_body(db: Database) -> None:
    """What is parked can be sent again as it came, nulls included."""
    env = event("kept", to=None)
    assert "rejected" == deliver(db, env)
    again: list[Envelope] = []

    def take(kept: Envelope, *_: object) -> str:
        again.append(kept)
        return "duplicate"

    assert "duplicate" == dead_letters.redrive(db, str(env.event_id), take)
    assert [env] == again
    assert {"thing": "kept", "to": None, "notes": {}} == again[0].payload


def test_anything_can_be_parked(db: Database) -> None:
    """A body that is no text PostgreSQL could hold is parked all the same."""
    odd = dead_letters.Letter("odd\0" + "x" * 900, b"a\0b\xff", "r\ud800" * 9000, attempts=3)
    dead_letters.store(db, odd)
    row = db.one("select length(reason) as n, attempts from dead_letters where id like 'odd%'")
    assert {"n": 2000, "attempts": 3} == row


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["MOVED", "BOOK", str(uuid4()), "2026-01-15T10:30:00Z", 10**400]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["thing", "to", "notes", "saga", "where"]) | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A good envelope of which some members are anything or missing."""
    read: dict[str, Any] = json.loads(event("fuzz").to_json())
    read["event_id"] = str(uuid4())
    for part in (read, read["metadata"], read["payload"]):
        for name in draw(st.lists(st.sampled_from(sorted(part)), max_size=2, unique=True)):
            if part is read and name in ("metadata", "payload") and draw(st.booleans()):
                continue
            if draw(st.booleans()):
                part[name] = draw(JSON)
            else:
                part.pop(name, None)
    return read


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.composite(mutated)() | JSON)
def test_hostile_envelopes_are_rejected(db: Database, body: Any) -> None:
    """Whatever JSON arrives, it is handled, unknown or rejected; nothing else is raised."""
    own = clocks._hlc
    clocks._hlc = clocks.Hlc()
    try:
        env = Envelope.parse(json.dumps(body))
        outcome = deliver(db, env, TOPIC)
    except Reject:
        return
    finally:
        clocks._hlc = own
    assert outcome in ("handled", "duplicate", "unknown", "rejected")
    if outcome == "rejected":
        assert letter(db, env.event_id) is not None


# By name, or a failure would be told with every byte.
_STRANGE = {"lists": b"[" * 100_000, "objects": b'{"a":' * 100_000, "no text": b"\xff"}


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.sampled_from(sorted(_STRANGE)).map(_STRANGE.__getitem__))
def test_bytes_that_are_no_envelope_are_rejected(data: bytes) -> None:
    """No bytes make the parser raise anything but Reject."""
    with pytest.raises(Reject):
        Envelope.parse(data)
