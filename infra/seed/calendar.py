"""Who is whose patient, and when: a place of their own in a dentist's year for everybody.

Ten thousand people make a cohort, which has three dentists at each clinic. What is so of somebody
follows from their number alone, not from how many others there are.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from random import Random
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from functions.appointment.domain.hours import instant
from infra.people import patient
from infra.seed.group import CLINICS, COHORT, DENTISTS

__all__ = ["BREAK", "END", "RATES", "START", "Seat", "began", "many", "past", "seat", "to_come"]

START, BREAK, END = 8 * 60, (12 * 60 + 30, 13 * 60), 17 * 60 + 30
"""Minutes of a local day in which dentists work, Monday to Friday."""
_GRID, _A_DAY, _MORNING = 45, 12, 6
_DAYS, _AHEAD = 52 * 5, 13 * 5
_A_PERSON = 4  # places in a dentist's year that somebody has
# No common factor with the number of places: two people never get the same one.
_STRIDE = 1_789

RATES = {
    "appointments": 36,
    "requests": 40,
    "problems": 100,
    "interventions": 60,
    "xrays": 100,
    "treatments": 30,
    "prescriptions": 16,
    "notifications": 73,
}
"""How many of each kind twenty people have in a year."""
_TWENTY = 20


class Seat(NamedTuple):
    """Whose patient somebody is."""

    clinic: int
    """Its place in CLINICS."""
    dentist: int
    """Which of the clinic's dentists."""
    place: int
    """How many of the dentist's patients come before."""


def seat(number: int) -> Seat:
    """Of person ``number``: at a clinic where their language is spoken."""
    return _seats(number // COHORT)[number % COHORT]


@cache
def _seats(cohort: int) -> list[Seat]:
    spoken: dict[str, list[int]] = {}
    for clinic, (_, _, _, languages) in enumerate(CLINICS):
        spoken.setdefault(languages[0], []).append(clinic)
    come: dict[str, int] = {}
    seats = []
    for number in range(cohort * COHORT, (cohort + 1) * COHORT):
        language = patient(number)["language"]
        before = come.get(language, 0)
        come[language] = before + 1
        clinics = spoken[language]
        turn, clinic = divmod(before, len(clinics))
        place, dentist = divmod(turn, DENTISTS)
        seats.append(Seat(clinics[clinic], cohort * DENTISTS + dentist, place))
    return seats


def many(kind: str, number: int) -> int:
    """How many of ``kind`` (of RATES) person ``number`` has: who has many of one has many of
    all, and twenty in a row have exactly what RATES says."""
    block, place = divmod(number, _TWENTY)
    rank = _ranks(block)[place]
    whole = _TWENTY * (_TWENTY - 1) // 2

    def before(rank: int) -> int:
        return RATES[kind] * (rank * (rank - 1) // 2) // whole

    return before(rank + 1) - before(rank)


@lru_cache(maxsize=64)
def _ranks(block: int) -> list[int]:
    return Random(f"rank {block}").sample(range(_TWENTY), _TWENTY)  # nosec B311


def began(clinic_id: UUID) -> date:
    """The day on which a clinic was opened, as its id says (RFC 9562, version 7): what is past on
    that day is the year that is over, in every later run, too."""
    return datetime.fromtimestamp((clinic_id.int >> 80) / 1000, UTC).date()


def past(day: date, of: Seat, turn: int) -> datetime:
    """When somebody's visit number ``turn`` began, in the year before ``day``."""
    place = (of.place * _A_PERSON + turn) * _STRIDE % (_DAYS * _A_DAY)
    days, part = divmod(place, _A_DAY)
    return _moment(_monday(day) - timedelta(weeks=1 + days // 5), days % 5, part, of)


def to_come(day: date, of: Seat) -> datetime:
    """When somebody will come who has an appointment after the week of ``day``."""
    days, part = divmod(of.place * _STRIDE % (_AHEAD * _A_DAY), _A_DAY)
    return _moment(_monday(day) + timedelta(weeks=1 + days // 5), days % 5, part, of)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _moment(monday: date, weekday: int, part: int, of: Seat) -> datetime:
    start = START if part < _MORNING else BREAK[1] - _MORNING * _GRID
    wall = datetime.combine(monday + timedelta(days=weekday), datetime.min.time())
    zone = ZoneInfo(CLINICS[of.clinic][2])
    return instant(wall + timedelta(minutes=start + part * _GRID), zone)
