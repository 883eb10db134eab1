"""The text of calendars (RFC 5545), read by a program that others wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Event, Timezone

from functions.appointment.domain.calendar_text import (
    folded,
    moment,
    offset,
    quoted,
    text,
    time_zone,
)

# Usual rules, none, half an hour of summer time, southern summers, summer time that stops for a
# month, offsets of minutes, a rule that was given up, and UTC itself.
ZONES = (
    "Europe/Bucharest",
    "Asia/Makassar",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Europe/Dublin",
    "America/Mexico_City",
    "UTC",
)


def event(*lines: str) -> Event:
    """What a calendar program reads of an event with these lines."""
    made = folded(["BEGIN:VEVENT", "UID:1", *lines, "END:VEVENT"])
    found = Event.from_ical(made)
    assert isinstance(found, Event)
    return found


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("year", [2021, 2026])
def test_a_time_zone_is_what_its_clocks_show(name: str, year: int) -> None:
    """Twice a day for three years, and every ten minutes around each change, a program that knows
    nothing but the VTIMEZONE tells the moment that a wall's time means."""
    zone = ZoneInfo(name)
    found = Timezone.from_ical(folded(time_zone(zone, year - 1, year + 1)))
    assert isinstance(found, Timezone)
    theirs = found.to_tz(lookup_tzid=False)
    at, end = datetime(year - 1, 1, 1, tzinfo=UTC), datetime(year + 2, 1, 1, tzinfo=UTC)
    while at < end:
        following = at + timedelta(hours=12)
        changing = at.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset()
        for each in [at + n * timedelta(minutes=10) for n in range(72 if changing else 1)]:
            line = moment("DTSTART", each, zone)
            if line.endswith("Z"):
                continue  # said in UTC, since the wall shows it twice
            local = datetime.strptime(line.rpartition(":")[2], "%Y%m%dT%H%M%S")  # noqa: DTZ007
            assert each == local.replace(tzinfo=theirs).astimezone(UTC)
        at = following


@given(second=st.integers(946_684_800, 2_114_380_800), name=st.sampled_from(ZONES))
def test_every_moment_comes_back(second: int, name: str) -> None:
    """A program finds the moment in its property, in whatever form it is said."""
    at = datetime.fromtimestamp(second, UTC)
    found = event(moment("DTSTART", at, ZoneInfo(name))).decoded("DTSTART")
    assert at == found.astimezone(UTC)


@given(value=st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t")))
def test_text_comes_back(value: str) -> None:
    """What a property or a parameter says is read as it was written, whatever is in it, in lines
    of 75 octets at most that are cut between characters."""
    lines = [f"SUMMARY:{text(value)}", f"ORGANIZER;CN={quoted(value)}:mailto:a@example.com"]
    assert all(len(line) <= 75 for line in folded(lines).encode().split(b"\r\n"))
    found = event(*lines)
    assert value == str(found["SUMMARY"])
    if "\\" not in value:  # in a parameter, that program reads \n and the like, too
        assert value == str(found["ORGANIZER"].params["CN"])


@pytest.mark.parametrize("value", ["a\rb", "a\r\nb", "a\nb"])
def test_every_kind_of_line_ends_alike(value: str) -> None:
    """However a text breaks its lines, its property stays one."""
    found = event(f"SUMMARY:{text(value)}", f"ORGANIZER;CN={quoted(value)}:mailto:a@example.com")
    assert "a\nb" == str(found["SUMMARY"]) == str(found["ORGANIZER"].params["CN"])


def test_control_characters_are_left_out() -> None:
    """What must not stand in a line at all (RFC 5545, 3.1) does not stand in it."""
    assert ("ab", '"ab"') == (text("a\x00\x1bb"), quoted("a\x7f\x0cb"))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(7200, "+0200"), (-12600, "-0330"), (20700, "+0545"), (6264, "+014424"), (0, "+0000")],
)
def test_an_offset_has_a_sign(seconds: int, expected: str) -> None:
    """Hours, minutes, and seconds where there are some (3.3.14)."""
    assert expected == offset(timedelta(seconds=seconds))
