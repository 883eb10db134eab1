"""What of a freed time is offered: the rules, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from functions.appointment.domain.hours import Span, merged
from functions.appointment.domain.slots import Busy
from functions.appointment.domain.waitlist import NOTICE, expiry, placement

NINE = datetime(2026, 3, 3, 9, tzinfo=UTC)
NOW = NINE - timedelta(days=1)
MINUTE = timedelta(minutes=1)


def span(start: int, end: int) -> Span:
    """In minutes after nine."""
    return Span(NINE + start * MINUTE, NINE + end * MINUTE)


spans = st.tuples(st.integers(-60, 120), st.integers(15, 90)).map(lambda t: span(t[0], t[0] + t[1]))


def test_windows_that_touch_are_one() -> None:
    """A visit may stretch over two windows between which there is nothing."""
    windows = [span(15, 30), span(0, 15)]
    assert span(0, 30) == placement(
        span(0, 60), windows, [span(0, 60)], Busy(), 30 * MINUTE, now=NOW
    )


def test_what_begins_soon_is_not_offered() -> None:
    """The patient needs time to read the offer and to come."""
    freed, work = span(0, 60), [span(0, 60)]
    late = NINE - NOTICE + MINUTE
    assert span(15, 45) == placement(freed, work, work, Busy(), 30 * MINUTE, now=late)


def test_a_start_that_was_refused_is_left_out() -> None:
    """Who was offered nine o'clock may still be offered a quarter past."""
    freed, work = span(0, 60), [span(0, 60)]
    found = placement(freed, work, work, Busy(), 30 * MINUTE, now=NOW, refused={NINE})
    assert span(15, 45) == found


@given(
    freed=spans,
    windows=st.lists(spans, min_size=1, max_size=4),
    work=st.lists(spans, max_size=3),
    taken=st.lists(spans, max_size=3),
    length=st.sampled_from([15, 30, 45]),
)
def test_what_is_offered_is_possible(
    freed: Span, windows: list[Span], work: list[Span], taken: list[Span], length: int
) -> None:
    """It is as long as asked, within the freed time and the hours, and overlaps nothing taken; all
    of it is in a window."""
    found = placement(freed, windows, work, Busy(merged(taken)), length * MINUTE, now=NOW)
    if found is not None:
        assert length * MINUTE == found.end - found.start
        assert freed.start <= found.start
        assert found.end <= freed.end
        assert any(one.start <= found.start and found.end <= one.end for one in work)
        assert not any(found.overlaps(one) for one in taken)
        moments = [found.start + minute * MINUTE for minute in range(length)]
        assert all(any(w.start <= moment < w.end for w in windows) for moment in moments)


def test_an_offer_ends_with_its_slot() -> None:
    """A hold lasts as long as the clinic says, but not into the appointment."""
    assert NOW + 30 * MINUTE == expiry(span(0, 30), 30 * MINUTE, NOW)
    assert NINE == expiry(span(0, 30), 90 * MINUTE, NINE - 40 * MINUTE)
