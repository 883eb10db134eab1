"""Time travel: what was so at a time, and what was known of it at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from shared.eventstore import Recorded, Stream
from tests.eventstore_stack import Moved, World, world

JANUARY, MARCH, MAY = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 3, 5))
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def store(kit_db: Callable[[], str]) -> World:
    """One database for all; each test has streams of its own."""
    return world(kit_db())


@pytest.fixture
def lives(store: World) -> Stream:
    """In Cluj since January, in Turda since May; that it was Dej from March on was learned last."""
    stream = store.stream()
    store.append(stream, Moved(town="Cluj"), effective_at=JANUARY)
    store.append(stream, Moved(town="Turda"), expected=1, effective_at=MAY)
    store.append(stream, Moved(town="Dej"), expected=2, effective_at=MARCH)
    return stream


def _towns(events: list[Recorded]) -> list[str | None]:
    return [event.fact.town for event in events]


def test_without_a_time_facts_come_as_they_were_recorded(store: World, lives: Stream) -> None:
    """The order of versions, whenever each took effect."""
    assert ["Cluj", "Turda", "Dej"] == _towns(store.store.history(store.db, lives))
    assert [JANUARY, MAY, MARCH] == [
        event.effective_at for event in store.store.history(store.db, lives)
    ]


@pytest.mark.parametrize(
    ("as_of", "towns"),
    [
        (JANUARY - DAY, []),
        (JANUARY, ["Cluj"]),
        (MARCH, ["Cluj", "Dej"]),
        (MAY - DAY, ["Cluj", "Dej"]),
        (MAY, ["Cluj", "Dej", "Turda"]),
    ],
)
def test_as_of_a_time(store: World, lives: Stream, as_of: datetime, towns: list[str]) -> None:
    """What was so at that time, in the order in which it became so; the moment itself counts."""
    assert towns == _towns(store.store.history(store.db, lives, as_of=as_of))


def test_until_a_version(store: World, lives: Stream) -> None:
    """The state after so many facts; versions that do not exist yet change nothing."""
    for version, towns in enumerate([[], ["Cluj"], ["Cluj", "Turda"]]):
        assert towns == _towns(store.store.history(store.db, lives, until_version=version))
    assert 3 == len(store.store.history(store.db, lives, until_version=99))
    assert ["Dej"] == _towns(store.store.history(store.db, lives, after_version=2))


def test_what_was_known_when(store: World, lives: Stream) -> None:
    """Before the correction was recorded, everybody thought it was still Cluj in April."""
    recorded = [event.recorded_at for event in store.store.history(store.db, lives)]
    assert sorted(recorded) == recorded
    april = MARCH + 31 * DAY
    known = [
        _towns(store.store.history(store.db, lives, as_of=april, known_at=moment))
        for moment in (recorded[0] - DAY, recorded[0], recorded[1], recorded[2])
    ]
    assert [[], ["Cluj"], ["Cluj"], ["Cluj", "Dej"]] == known
    assert ["Cluj", "Turda"] == _towns(store.store.history(store.db, lives, known_at=recorded[1]))


def test_facts_of_one_batch_take_effect_together(store: World) -> None:
    """One moment for all, and their versions decide the order."""
    stream = store.stream()
    store.append(stream, Moved(town="Cluj"), Moved(town="Dej"), effective_at=MAY)
    assert ["Cluj", "Dej"] == _towns(store.store.history(store.db, stream, as_of=MAY))
    assert [] == store.store.history(store.db, stream, as_of=MAY - DAY)


def test_load_travels_too(store: World, lives: Stream) -> None:
    """The state as it was, and the highest version that was looked at."""

    def last(_: str | None, event: Recorded) -> str | None:
        town: str | None = event.fact.town
        return town

    assert ("Dej", 3) == store.store.load(store.db, lives, None, last, as_of=MAY - DAY)
    assert ("Turda", 3) == store.store.load(store.db, lives, None, last, as_of=MAY)
    assert ("Turda", 2) == store.store.load(store.db, lives, None, last, until_version=2)
    assert (None, 0) == store.store.load(store.db, lives, None, last, known_at=JANUARY)
