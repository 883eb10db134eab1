"""Snapshots: never anything but a shortcut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.crypto import Unreadable
from shared.db import Tx
from shared.eventstore import EventStore, Fact, Recorded, Snapshot, Stream
from tests.eventstore_stack import ChairMoved, Moved, World, world


@dataclass(frozen=True)
class Home:
    """Where somebody lives, and how often they moved."""

    town: str | None = None
    moves: int = 0


def apply(home: Home, event: Recorded) -> Home:
    """The fold of these tests."""
    if event.fact is None:
        return replace(home, town=None, moves=home.moves + 1)
    return Home(event.fact.town, home.moves + 1)


SNAPSHOT = Snapshot(Home, every=3)


@pytest.fixture(scope="module")
def store(kit_db: Callable[[], str]) -> World:
    """One database for all; each test has streams of its own."""
    return world(kit_db())


def _load(store: World, stream: Stream, fold: Any = apply, **more: Any) -> tuple[Home, int]:
    def work(tx: Tx) -> tuple[Home, int]:
        return store.store.load(tx, stream, Home(), fold, **{"snapshot": SNAPSHOT, **more})

    return store.db.transaction(work)


def _kept(store: World, stream: Stream) -> list[int]:
    rows = store.db.all("select version from snapshots where id = :id", id=stream.id)
    return [row["version"] for row in rows]


def _moves(count: int) -> list[Fact]:
    return [Moved(town=f"town {number}") for number in range(1, count + 1)]


def test_a_load_takes_one_and_the_next_begins_there(store: World) -> None:
    """After enough facts the state is kept; then only the facts behind it are applied."""
    stream, applied = store.stream(), list[int]()

    def counting(home: Home, event: Recorded) -> Home:
        applied.append(event.version)
        return Home(event.fact.town, home.moves + 1)

    store.append(stream, *_moves(2))
    assert (Home("town 2", 2), 2) == _load(store, stream, counting)
    assert [] == _kept(store, stream)
    store.append(stream, *_moves(2), expected=2)
    assert (Home("town 2", 4), 4) == _load(store, stream, counting)
    assert [4] == _kept(store, stream)
    store.append(stream, Moved(town="Dej"), expected=4)
    applied.clear()
    assert (Home("Dej", 5), 5) == _load(store, stream, counting)
    assert [5] == applied
    assert (Home("Dej", 5), 5) == store.store.load(
        store.db, stream, Home(), counting, snapshot=SNAPSHOT
    )
    assert [5, 5] == applied


def test_reading_outside_a_transaction_keeps_nothing(store: World) -> None:
    """A read through the database writes nothing."""
    stream = store.stream()
    store.append(stream, *_moves(9))
    assert 9 == store.store.load(store.db, stream, Home(), apply, snapshot=SNAPSHOT)[1]
    assert [] == _kept(store, stream)


def test_it_is_sealed(store: World) -> None:
    """The table shows nothing of the state; about nobody it is plain."""
    stream, chair = store.stream(), Stream("chair", uuid4())
    store.append(stream, *_moves(3))
    store.append(chair, *[ChairMoved(room=room) for room in (1, 2, 3)])
    _load(store, stream)
    rows = store.db.all("select s::text as row from snapshots s where id = :id", id=stream.id)
    assert [False] == ["town" in row["row"] for row in rows]

    def room(_: Home, event: Recorded) -> Home:
        return Home(f"room {event.fact.room}", event.version)

    for _ in range(2):
        assert (Home("room 3", 3), 3) == _load(store, chair, room)
    rows = store.db.all("select state from snapshots where id = :id", id=chair.id)
    assert [{"town": "room 3", "moves": 3}] == [row["state"] for row in rows]


def test_other_code_does_not_look_at_it(store: World) -> None:
    """Another fold, another shape, another number or other facts: all is replayed, and right."""
    stream = store.stream()
    store.append(stream, *_moves(4))
    assert Home("town 4", 4) == _load(store, stream)[0]

    def doubled(home: Home, event: Recorded) -> Home:
        return Home(event.fact.town, home.moves + 2)

    assert Home("town 4", 8) == _load(store, stream, doubled)[0]
    assert Home("town 4", 4) == _load(store, stream)[0]

    @dataclass(frozen=True)
    class Other(Home):
        """Has one field more."""

        street: str = ""

    def other(home: Other, event: Recorded) -> Other:
        return home

    other.__code__ = apply.__code__
    marks = {
        SNAPSHOT.fingerprint(apply, {}),
        SNAPSHOT.fingerprint(apply, {"MOVED": Moved}),
        SNAPSHOT.fingerprint(doubled, {}),
        replace(SNAPSHOT, fold=2).fingerprint(apply, {}),
        Snapshot(Other, every=3).fingerprint(other, {}),
    }
    assert 5 == len(marks)


def test_the_past_is_not_read_from_a_newer_one(store: World) -> None:
    """As of a version before it, or of a time, the facts alone decide."""
    stream = store.stream()
    store.append(stream, *_moves(5))
    _load(store, stream)
    assert [5] == _kept(store, stream)
    assert (Home("town 2", 2), 2) == _load(store, stream, until_version=2)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert (Home(), 0) == _load(store, stream, as_of=moment)
    assert (Home(), 0) == _load(store, stream, known_at=moment)
    assert [5] == _kept(store, stream)


def test_an_erasure_takes_it_along(store: World) -> None:
    """With the key the snapshot goes; loading goes on, and keeps no new one."""
    stream, other = store.stream(), store.stream()
    for one in (stream, other):
        store.append(one, *_moves(4))
        _load(store, one)
    assert stream.person is not None
    store.erase(stream.person)
    assert [] == _kept(store, stream)
    assert [4] == _kept(store, other)
    assert (Home(None, 4), 4) == _load(store, stream)
    assert [] == _kept(store, stream)


def test_an_old_one_does_not_replace_a_newer_one(store: World) -> None:
    """Who loaded before others appended leaves their snapshot alone."""
    stream = store.stream()
    store.append(stream, *_moves(8))
    _load(store, stream)
    _load(store, stream, until_version=4)
    assert [8] == _kept(store, stream)


def test_one_that_was_tampered_with_is_not_believed(store: World) -> None:
    """A sealed state moved to another version or stream does not open."""
    one, two = store.stream(), store.stream()
    for stream in (one, two):
        store.append(stream, *_moves(4))
        _load(store, stream)
    store.db.all("update snapshots set version = 3 where id = :id", id=one.id)
    with pytest.raises(Unreadable):
        _load(store, one)
    store.db.all(
        "update snapshots set sealed = (select sealed from snapshots where id = :other)"
        " where id = :id",
        id=two.id,
        other=one.id,
    )
    with pytest.raises(Unreadable):
        _load(store, two)


_FACT = st.builds(Moved, town=st.none() | st.text(max_size=5), far=st.booleans())


@settings(max_examples=40)
@given(batches=st.lists(st.lists(_FACT, max_size=4), max_size=8), every=st.integers(1, 6))
def test_snapshot_and_tail_equal_a_full_replay(
    store: World, batches: list[list[Moved]], every: int
) -> None:
    """Whatever happens, in whatever portions, and however often a snapshot is taken."""
    stream, expected = store.stream(), 0
    snapshot = Snapshot(Home, every=every)
    for batch in batches:

        def work(tx: Tx, batch: list[Moved] = batch) -> tuple[Home, int]:
            state, version = store.store.load(tx, stream, Home(), apply, snapshot=snapshot)
            store.store.append(tx, stream, batch, expected=version)
            return state, version

        short = store.db.transaction(work)
        assert (Home(*_replayed(store, stream, short[1])), short[1]) == short
        expected += len(batch)
    assert expected == _load(store, stream, snapshot=snapshot)[1]
    assert _load(store, stream, snapshot=None) == _load(store, stream, snapshot=snapshot)


def _replayed(store: World, stream: Stream, version: int) -> tuple[str | None, int]:
    """What the facts alone say."""
    facts = store.store.history(store.db, stream, until_version=version)
    return (facts[-1].fact.town if facts else None), len(facts)


def test_two_stores_that_know_other_facts(store: World) -> None:
    """A service that learns a new fact does not trust what was folded without it."""
    stream = store.stream()
    store.append(stream, *_moves(4))
    _load(store, stream)
    narrow = EventStore(store.vault, [Moved])
    seen: list[int] = []

    def counting(home: Home, event: Recorded) -> Home:
        seen.append(event.version)
        return apply(home, event)

    store.db.transaction(lambda tx: narrow.load(tx, stream, Home(), counting, snapshot=SNAPSHOT))
    assert [1, 2, 3, 4] == seen
