"""Working hours on a clinic's wall, free slots, states and series: pure rules."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.appointment.domain.hours import (
    Exceptional,
    Span,
    Weekly,
    flaw,
    instant,
    merged,
    minus,
    within,
    working,
)
from functions.appointment.domain.series import LONGEST, recurrences
from functions.appointment.domain.slots import Busy, free, obstacle
from functions.appointment.domain.states import NotPossible, in_time, next_status

BUCHAREST = ZoneInfo("Europe/Bucharest")
SPRING = date(2026, 3, 29)  # 03:00 becomes 04:00
AUTUMN = date(2026, 10, 25)  # 04:00 becomes 03:00
SUNDAY = 7


def utc(text: str) -> datetime:
    """A moment."""
    return datetime.fromisoformat(text + "+00:00")


def span(start: str, end: str) -> Span:
    """Between two moments."""
    return Span(utc(start), utc(end))


def wall(text: str) -> datetime:
    """A local time."""
    return datetime.fromisoformat(text)


def worked(
    day: date, weekly: list[Weekly], exceptions: tuple[Exceptional, ...] = ()
) -> list[tuple[str, str]]:
    """What is worked around a day, in UTC."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=BUCHAREST)
    window = Span(noon - timedelta(days=1), noon + timedelta(days=1))
    return [
        (f"{found.start:%d %H:%M}", f"{found.end:%d %H:%M}")
        for found in working(weekly, exceptions, BUCHAREST, window)
    ]


def test_hours_keep_to_the_wall() -> None:
    """Nine o'clock is nine o'clock in winter and in summer."""
    weekly = [Weekly(5, 540, 1020), Weekly(1, 540, 1020)]
    window = span("2026-03-27T00:00", "2026-03-31T00:00")
    assert [
        span("2026-03-27T07:00", "2026-03-27T15:00"),
        span("2026-03-30T06:00", "2026-03-30T14:00"),
    ] == working(weekly, (), BUCHAREST, window)


@pytest.mark.parametrize(
    ("day", "start", "end", "expected"),
    [
        # Across the change: an hour less in spring, an hour more in autumn.
        (SPRING, 60, 360, [("28 23:00", "29 03:00")]),
        (AUTUMN, 60, 360, [("24 22:00", "25 04:00")]),
        # 03:30 does not exist in spring: with the offset from before it is 04:30 (RFC 5545).
        (SPRING, 210, 360, [("29 01:30", "29 03:00")]),
        (SPRING, 120, 210, [("29 00:00", "29 01:30")]),
        # In the skipped hour nothing is worked that would end before it begins.
        (SPRING, 210, 250, []),
        # 03:30 comes twice in autumn: the first is meant.
        (AUTUMN, 210, 360, [("25 00:30", "25 04:00")]),
        (AUTUMN, 120, 210, [("24 23:00", "25 00:30")]),
    ],
)
def test_hours_across_a_change(
    day: date, start: int, end: int, expected: list[tuple[str, str]]
) -> None:
    """An hour that is skipped or repeated is neither worked twice nor lost."""
    assert expected == worked(day, [Weekly(SUNDAY, start, end)])


def test_breaks_holidays_leave_and_extra_hours() -> None:
    """A break and a holiday take hours away, extra hours count on a holiday, leave ends all."""
    weekly = [Weekly(SUNDAY, 540, 1020, [(780, 840)])]
    day = date(2026, 3, 1)
    assert [("01 07:00", "01 11:00"), ("01 12:00", "01 15:00")] == worked(day, weekly)
    holiday = Exceptional("HOLIDAY", wall("2026-03-01T00:00"), wall("2026-03-02T00:00"))
    assert [] == worked(day, weekly, (holiday,))
    extra = Exceptional("EXTRA_HOURS", wall("2026-03-01T12:00"), wall("2026-03-01T15:00"))
    assert [("01 10:00", "01 13:00")] == worked(day, weekly, (holiday, extra))
    assert [("01 07:00", "01 15:00")] == worked(day, weekly, (extra,))
    leave = Exceptional("LEAVE", wall("2026-03-01T14:00"), wall("2026-03-01T14:30"))
    assert [("01 10:00", "01 12:00"), ("01 12:30", "01 13:00")] == worked(
        day, weekly, (holiday, extra, leave)
    )


@pytest.mark.parametrize(
    ("hours", "fine"),
    [
        ([Weekly(1, 540, 1020, [(780, 840), (600, 630)])], True),
        ([Weekly(1, 540, 720), Weekly(1, 720, 1440), Weekly(2, 0, 60)], True),
        ([Weekly(1, 540, 540)], False),
        ([Weekly(1, 540, 720), Weekly(1, 700, 800)], False),
        ([Weekly(1, 540, 720, [(500, 600)])], False),
        ([Weekly(1, 540, 720, [(600, 740)])], False),
        ([Weekly(1, 540, 720, [(600, 660), (630, 690)])], False),
        ([Weekly(1, 540, 720, [(660, 600)])], False),
    ],
)
def test_what_is_wrong_with_hours(hours: list[Weekly], fine: bool) -> None:
    """Parts of a day do not overlap, and breaks lie in them one after the other."""
    assert fine == (flaw(hours) is None)


_TIMES = st.integers(0, 60).map(lambda n: utc("2026-01-05T00:00") + timedelta(minutes=n))
_SPANS = st.lists(
    st.tuples(_TIMES, _TIMES).filter(lambda p: p[0] < p[1]).map(lambda p: Span(*p)), max_size=6
)


def _minutes(spans: list[Span]) -> set[datetime]:
    return {
        one.start + timedelta(minutes=n)
        for one in spans
        for n in range(int((one.end - one.start).total_seconds() // 60))
    }


@given(_SPANS, _SPANS)
def test_spans_are_sets_of_moments(some: list[Span], away: list[Span]) -> None:
    """Taking spans from others leaves exactly the moments that are in these and not in those, as
    sorted spans that neither overlap nor touch."""
    left = minus(merged(some), away)
    assert _minutes(some) - _minutes(away) == _minutes(left)
    assert left == merged(left)


@given(_SPANS, _SPANS, _SPANS, st.integers(5, 25))
def test_free_slots_are_those_without_an_obstacle(
    work: list[Span], doctor: list[Span], chair: list[Span], minutes: int
) -> None:
    """At each quarter of an hour there is a free slot if and only if it lies in the hours and can
    be booked."""
    open_ = merged(work)
    busy = Busy(merged(doctor), (), [merged(chair)])
    now = utc("2026-01-05T00:10")
    length = timedelta(minutes=minutes)
    found = list(free(open_, busy, length, now=now))
    assert all(obstacle(slot, open_, busy, now=now) is None for slot in found)
    taken = _minutes(doctor) | _minutes(chair)
    for slot in found:
        assert not _minutes([slot]) & taken
        assert within(slot, open_)
    quarters = [utc("2026-01-05T00:00") + timedelta(minutes=15 * n) for n in range(5)]
    for slot in (Span(start, start + length) for start in quarters):
        possible = slot.start >= now and within(slot, open_) and not _minutes([slot]) & taken
        assert possible == (slot in found)
    assert {slot.start for slot in found} <= set(quarters)


def test_a_series_stays_at_its_time_on_the_wall() -> None:
    """Half past ten stays half past ten, whatever the clocks do between."""
    first = instant(wall("2026-10-12T10:30"), BUCHAREST)
    starts = recurrences(first, BUCHAREST, "WEEKLY", count=3)
    assert [utc(f"2026-10-{text}") for text in ("12T07:30", "19T07:30", "26T08:30")] == starts


def test_a_month_without_the_day_is_left_out() -> None:
    """As in RFC 5545: the 31st is in some months only."""
    first = instant(wall("2026-01-31T09:00"), BUCHAREST)
    starts = recurrences(first, BUCHAREST, "MONTHLY", until=date(2026, 7, 31))
    assert ["01-31", "03-31", "05-31", "07-31"] == [f"{at:%m-%d}" for at in starts]
    leap = instant(wall("2028-02-29T09:00"), BUCHAREST)
    assert [leap] == recurrences(leap, BUCHAREST, "MONTHLY", interval=12, count=3)


@pytest.mark.parametrize(
    ("day", "count"), [("2026-01-12", 2), ("2026-01-11", 1), ("2026-01-01", 0)]
)
def test_until_a_day(day: str, count: int) -> None:
    """The last day counts whole; before the first there is nothing."""
    first = instant(wall("2026-01-05T23:30"), BUCHAREST)
    found = recurrences(first, BUCHAREST, "WEEKLY", until=date.fromisoformat(day))
    assert count == len(found)


def test_no_series_is_endless() -> None:
    """Two years and so many appointments are the most."""
    first = instant(wall("2026-01-05T09:00"), BUCHAREST)
    many = recurrences(first, BUCHAREST, "WEEKLY", until=date(9000, 1, 1))
    assert LONGEST == len(many)
    late = instant(wall("2026-10-25T03:30"), BUCHAREST) + timedelta(hours=1)
    assert late == recurrences(late, BUCHAREST, "WEEKLY", count=2)[0]


def test_states() -> None:
    """What is over stays over, and nobody is missed who is there."""
    assert "CHECKED_IN" == next_status("CONFIRMED", "check-in")
    assert "PENDING" == next_status("PENDING", "reschedule")
    for status, step in (
        ("CANCELLED", "cancel"),
        ("COMPLETED", "cancel"),
        ("MISSED", "check-in"),
        ("CHECKED_IN", "miss"),
        ("CHECKED_IN", "reschedule"),
        ("PENDING", "check-in"),
    ):
        with pytest.raises(NotPossible):
            next_status(status, step)  # type: ignore[arg-type]


def test_the_cut_off() -> None:
    """Until exactly so long before it begins."""
    start, hour = utc("2026-01-05T09:00"), timedelta(hours=1)
    assert in_time(start, hour, start - hour)
    assert not in_time(start, hour, start - hour + timedelta(seconds=1))
