"""Slots of a group of clinics as numbers, so that two programs can book at random and never the
same: what is computed here in Python, pgbench computes with the expressions in ``PGBENCH``.

A slot's number says the day, the time of the day and the practitioner; the practitioner says the
clinic, whose only type of appointment takes half an hour and needs one of its chairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

__all__ = [
    "CHAIRS",
    "CLINICS",
    "FIRST",
    "HALF",
    "PATIENTS",
    "PGBENCH",
    "PRACTITIONERS",
    "SLOTS",
    "Slot",
    "first_day",
    "identity",
    "julian",
    "number_of",
    "slot",
]

CLINICS = 10
CHAIRS = 5  # and as many practitioners, of each clinic
PRACTITIONERS = CLINICS * CHAIRS
PATIENTS = 5_000
FIRST = 100_000  # all numbers have six digits
HALF = timedelta(minutes=30)

_DAYS = 600
_TIMES = 16  # of a day, each half an hour, from 10:00 UTC
SLOTS = _DAYS * _TIMES * PRACTITIONERS
_STEP = 297_659  # shares no factor with SLOTS: each slot comes once before any comes again

PGBENCH = f"""\
\\set n (:i * {_STEP}) % {SLOTS}
\\set at :n % {_TIMES * PRACTITIONERS} / {PRACTITIONERS}
\\set day :first + :n / {_TIMES * PRACTITIONERS}
\\set hhmm 1000 + :at / 2 * 100 + :at % 2 * 30
\\set after 1000 + (:at + 1) / 2 * 100 + (:at + 1) % 2 * 30
\\set yesterday :day - 1
\\set overmorrow :day + 2
\\set who {FIRST} + :n % {PRACTITIONERS}
\\set where {FIRST} + :n % {PRACTITIONERS} / {CHAIRS}
\\set whom {FIRST} + :n % {PATIENTS}
\\set made {FIRST} + :i
"""
"""From ``i`` and the Julian day ``first`` to what a script names."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot, and who would come."""

    clinic_id: UUID
    type_id: UUID
    practitioner_id: UUID
    patient_id: UUID
    starts_at: datetime


def identity(kind: int, number: int) -> UUID:
    """The id of a thing of ``kind``: 1 a clinic, 2 its practitioners, 3 its type of appointment, 4
    patients, 5 chairs."""
    return UUID(f"00000000-0000-4000-8000-00000{kind}{number:06}")


def number_of(i: int) -> int:
    """The ``i``-th slot in an order that jumps through all of them."""
    return i * _STEP % SLOTS


def first_day() -> date:
    """The day of the first slots: near enough to be offered, and not today."""
    return datetime.now(UTC).date() + timedelta(days=30)


def julian(day: date) -> int:
    """The number of ``day`` as PostgreSQL reads it after a J."""
    return day.toordinal() + 1_721_425


def slot(number: int, first: date) -> Slot:
    """The slot of a number, where day 0 is ``first``."""
    day, rest = divmod(number, _TIMES * PRACTITIONERS)
    at, who = divmod(rest, PRACTITIONERS)
    ten = datetime.combine(first + timedelta(days=day), time(10), UTC)
    clinic = FIRST + who // CHAIRS
    return Slot(
        identity(1, clinic),
        identity(3, clinic),
        identity(2, FIRST + who),
        identity(4, FIRST + number % PATIENTS),
        ten + at * HALF,
    )
