"""When a patient is reminded: the rules, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from functions.appointment.domain.reminders import Due, due

START = datetime(2026, 3, 6, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
LONG_AGO = START - timedelta(days=90)

leads_of = st.sets(st.integers(1, 100), max_size=5)
minutes = st.integers(0, 120 * 60)


def test_nothing_before_its_moment() -> None:
    """Until the first lead begins there is nothing to do; then that one is sent."""
    before = START - 48 * HOUR - timedelta(seconds=1)
    assert Due(None, ()) == due(before, START, LONG_AGO, [48, 2])
    assert Due(48, ()) == due(START - 48 * HOUR, START, LONG_AGO, [48, 2])


def test_the_last_of_several() -> None:
    """Of two that are due the nearer one is sent, and the other is over."""
    assert Due(2, (48,)) == due(START - HOUR, START, LONG_AGO, [48, 2])


def test_a_later_one_ends_the_earlier() -> None:
    """Once a nearer one was settled, a farther one is never sent, as when a clinic adds it."""
    assert Due(None, (24,)) == due(START - HOUR, START, LONG_AGO, [24, 2], [2])


@given(leads=leads_of, looks=st.lists(minutes, min_size=1, max_size=20), since=minutes)
def test_whenever_the_job_runs(leads: set[int], looks: list[int], since: int) -> None:
    """However often and late it is looked, each lead is sent once at most, only after its moment,
    before the appointment, after the patient chose the time, the farther ones first."""
    chosen = START - timedelta(minutes=since)
    settled: set[int] = set()
    sent = []
    for look in sorted(looks, reverse=True):
        now = START - timedelta(minutes=look)
        found = due(now, START, chosen, leads, settled)
        assert settled.isdisjoint(found.skip)
        if found.send is not None:
            assert chosen < START - found.send * HOUR <= now < START
            sent.append(found.send)
            settled.add(found.send)
        settled.update(found.skip)
        assert settled == {lead for lead in leads if START - lead * HOUR <= now}
    assert sorted(set(sent), reverse=True) == sent


@given(leads=leads_of.filter(bool))
def test_a_job_that_never_pauses(leads: set[int]) -> None:
    """Looked at each hour, every lead is sent, at its moment."""
    settled: set[int] = set()
    sent = {}
    for hours in range(101, 0, -1):
        found = due(START - hours * HOUR, START, LONG_AGO, leads, settled)
        settled.update(found.skip)
        if found.send is not None:
            sent[found.send] = hours
            settled.add(found.send)
    assert {lead: lead for lead in leads} == sent
