"""The table of notices: complete, and true to the contracts it is made from."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from functions.notification.domain.dates import in_words, known_zone
from functions.notification.domain.notices import NOTICES, SETTLING, Notice
from functions.notification.handlers import on
from shared.messages import Message
from shared.types import Language
from tests.contract.new_samples import messages

BY_KIND = pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: notice.kind)


def test_every_event_that_people_are_told_of_has_its_row() -> None:
    """A contract that says ``notify`` needs a row, and with it texts in every language."""
    marked: set[type[Message]] = {message for message in messages() if message.notify}
    assert marked == {notice.event for notice in NOTICES}
    assert len(NOTICES) == len({notice.kind for notice in NOTICES}) == len(marked)


@BY_KIND
def test_rows_are_true_to_their_contract(notice: Notice) -> None:
    """What a row names are fields of the event; moments come with their time zone."""
    fields = set(notice.event.model_fields)
    assert set(notice.facts) <= fields
    assert {notice.until} - {None} <= set(notice.facts)
    assert notice.event.person_field() is not None
    if {name for name in notice.facts if name.endswith("_at")}:
        assert "time_zone" in notice.facts
    if notice.to == "reception":
        assert "clinic_id" in fields
    assert notice.event.personal_fields() - {"email", "previous"} <= set(notice.facts)


def test_whatever_settles_is_heard_and_about_a_thing() -> None:
    """An event that puts others out of date is consumed; versions are of the thing they share."""
    for event in SETTLING:
        assert event.type_name() in on.handlers
        assert event.key != event.person_field()


@pytest.mark.parametrize(
    ("moment", "zone", "language", "words"),
    [
        # Bucharest springs forward on 29 March 2026 at 01:00 UTC and back on 25 October.
        ("2026-03-29T00:59", "Europe/Bucharest", "en", "Sunday, 29 March 2026 at 02:59"),
        ("2026-03-29T01:00", "Europe/Bucharest", "en", "Sunday, 29 March 2026 at 04:00"),
        ("2026-10-25T00:59", "Europe/Bucharest", "ro", "duminică, 25 octombrie 2026 la 03:59"),
        ("2026-10-25T01:00", "Europe/Bucharest", "ro", "duminică, 25 octombrie 2026 la 03:00"),
        # Another day there than in UTC.
        ("2026-12-31T22:30", "Europe/Bucharest", "ro", "vineri, 1 ianuarie 2027 la 00:30"),
        ("2026-12-31T17:30", "Asia/Jakarta", "id", "Jumat, 01 Januari 2027 pukul 00.30"),
        ("2026-12-31T17:30", "America/New_York", "en", "Thursday, 31 December 2026 at 12:30"),
        ("2028-02-29T05:00", "Asia/Makassar", "id", "Selasa, 29 Februari 2028 pukul 13.00"),
    ],
)
def test_moments_in_words(moment: str, zone: str, language: Language, words: str) -> None:
    """The wall's time of that day, as CLDR writes it."""
    assert words == in_words(datetime.fromisoformat(moment).replace(tzinfo=UTC), zone, language)


def test_every_day_and_month_has_its_name() -> None:
    """Seven days and twelve months in each language, each once."""
    for language in ("en", "ro", "id"):
        said = [
            in_words(datetime(2026, month, day, 12, tzinfo=UTC), "UTC", language)
            for month in range(1, 13)
            for day in range(1, 8)
        ]
        assert 7 == len({words.partition(",")[0] for words in said})
        assert 12 == len({words.split()[2] for words in said})


@pytest.mark.parametrize(
    ("zone", "known"),
    [
        ("Europe/Bucharest", True),
        ("Asia/Jakarta", True),
        ("UTC", True),
        ("Mars/Base", False),
        ("", False),
        ("..", False),
        ("../../etc/passwd", False),
        ("/etc/passwd", False),
        ("Europe", False),
        ("a\0b", False),
    ],
)
def test_what_is_a_time_zone(zone: str, known: bool) -> None:
    """A name of the IANA database, and nothing that a file system takes for one."""
    assert known == known_zone(zone)
