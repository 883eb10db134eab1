"""The year of the sample data: the same in every run, possible, and as much as it says."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.appointment.domain.hours import Span, Weekly, within, working
from functions.dental_records.domain.chart import TreatedTooth
from functions.dental_records.domain.rules import wrong_with
from functions.dental_records.store.codes import find
from infra.seed.calendar import BREAK, END, RATES, START, many, past, seat, to_come
from infra.seed.desk import asks, comes
from infra.seed.group import CLINICS, COHORT
from infra.seed.mouth import mouth
from infra.seed.visits import year
from infra.seed.words import DISEASES, KINDS
from shared.teeth import surfaces

DAY = date(2026, 3, 31)  # behind a change to summer time
SOME = sorted(Random(5).sample(range(COHORT), 60))


@given(st.integers(0, 1_000))
def test_twenty_people_have_what_is_promised(block: int) -> None:
    """However many are filled in, every twenty in a row have exactly their part of each kind."""
    people = range(block * 20, block * 20 + 20)
    assert RATES == {kind: sum(many(kind, number) for number in people) for kind in RATES}


def test_the_volumes_of_ten_thousand_are_those_of_a_group() -> None:
    """The default fills in a year of the group that the platform is built for."""
    assert {
        "appointments": 18_000,
        "requests": 20_000,
        "problems": 50_000,
        "interventions": 30_000,
        "xrays": 50_000,
        "treatments": 15_000,
        "prescriptions": 8_000,
        "notifications": 36_500,
    } == {kind: rate * 10_000 // 20 for kind, rate in RATES.items()}


def test_a_year_is_the_same_each_time() -> None:
    """Somebody's year follows from their number and the day alone."""
    for number in SOME[:10]:
        assert year(number, DAY) == year(number, DAY)
        assert mouth(year(number, DAY)) == mouth(year(number, DAY))


def test_nobody_meets_anybody_else_at_the_dentist() -> None:
    """No two visits take the same time of a dentist, in the past and in what is to come."""
    past_of: Counter[tuple[int, int, datetime]] = Counter()
    future_of: Counter[tuple[int, int, datetime]] = Counter()
    for number in range(COHORT):
        of = seat(number)
        here = (of.clinic, of.dentist)
        past_of.update((*here, past(DAY, of, turn)) for turn in range(4))
        future_of[*here, to_come(DAY, of)] += comes(number)
    assert {1} == set(past_of.values())
    assert {0, 1} == set(future_of.values())
    longest = timedelta(minutes=max(kind.minutes for kind in KINDS))
    for one, next_one in pairwise(sorted(past_of)):
        assert one[:2] != next_one[:2] or one[2] + longest <= next_one[2]


@pytest.mark.parametrize("day", [DAY, date(2026, 11, 2), date(2027, 1, 1)])
def test_visits_are_within_the_hours_of_the_clinic(day: date) -> None:
    """Every visit lies in a dentist's hours on the clinic's wall, before that day or after it."""
    weekly = [Weekly(weekday, START, END, [BREAK]) for weekday in range(1, 6)]
    for number in SOME:
        zone = ZoneInfo(CLINICS[seat(number).clinic][2])
        for visit in year(number, day).visits:
            span = Span(visit.starts_at, visit.ends_at)
            window = Span(span.start - timedelta(days=1), span.end + timedelta(days=1))
            assert within(span, working(weekly, [], zone, window))
            assert visit.booked_at < visit.starts_at
            assert visit.ends_at.astimezone(zone).date() < day
        assert to_come(day, seat(number)).astimezone(zone).date() > day


def test_people_are_treated_in_their_language() -> None:
    """Who speaks Romanian goes to a clinic in Romania, the others to one in Indonesia."""
    for number in SOME:
        found = year(number, DAY)
        assert found.language == CLINICS[found.seat.clinic][3][0]


def test_what_is_done_follows_from_what_was_found() -> None:
    """Teeth have the surfaces and codes that there are, and nothing is done before it was found."""
    for number in SOME:
        found = mouth(year(number, DAY))
        for finding in found.findings:
            named = [each for each in surfaces(finding.tooth) if each in finding.surfaces]
            assert named == list(finding.surfaces)
            assert finding.tooth[1] in finding.disease.teeth
        for deed in found.deeds:
            assert [] == list(wrong_with(deed.procedure, [TreatedTooth(deed.tooth, deed.surfaces)]))
            assert found.findings[deed.turn].at < deed.at
        planned = [place for plan in found.plans for place in plan.findings]
        assert len(planned) == len(set(planned))


def test_every_disease_has_its_code() -> None:
    """What is found is in the catalogue that comes with the release."""
    assert [] == [each.code for each in DISEASES if find("icd-10", each.code) is None]


def test_some_of_it_is_still_to_come() -> None:
    """A few appointments and requests are in the future, and count among all of them."""
    people = range(1_000)
    assert 0 < sum(map(comes, people)) < sum(many("appointments", number) for number in people) / 10
    assert 0 < sum(map(asks, people)) < sum(many("requests", number) for number in people) / 10
    for number in people:
        made = year(number, DAY)
        assert many("appointments", number) == len(made.visits) + comes(number)
        assert many("requests", number) == len(made.asked) + asks(number)
