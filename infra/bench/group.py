"""A group of clinics in appointment's database, in bulk: schedules, patients and a past."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from infra.bench.timetable import (
    CHAIRS,
    CLINICS,
    FIRST,
    HALF,
    PATIENTS,
    PRACTITIONERS,
    Slot,
    identity,
    number_of,
    slot,
)
from shared.db import Database
from shared.types import uuid7

__all__ = ["LARGE", "Large", "fill", "fill_large"]

LARGE = 50  # practitioners
FIRST_LARGE = 200_000  # its things have these numbers

_PAST = 20_000  # appointments
_ZONE = "Europe/Lisbon"  # 10:00 to 18:00 UTC is a working day there
_HALVES = 16  # of an hour, that everybody is booked for in a day of the large clinic
_REGULARS = 480  # its patients
_KINDS = {1: "clinic", 2: "practitioner", 3: "type", 5: "chair"}
_TABLES = ("slots_taken", "appointments", "known_people")

_SCHEDULE = """
with c as (
  insert into clinics (clinic_id, version, name, time_zone)
  select (:clinic || n)::uuid, 1, 'Clinic ' || n, :zone
    from generate_series(:first::int, :first + :clinics::int - 1) as n),
p as (
  insert into practitioners (clinic_id, practitioner_id, display_name, hours)
  select (:clinic || :first + (n - :first) / :chairs::int)::uuid, (:practitioner || n)::uuid,
         'Dr. ' || n, :hours::jsonb
    from generate_series(:first::int, :first + :clinics::int * :chairs - 1) as n),
t as (
  insert into appointment_types (type_id, clinic_id, name, duration_minutes, needs_chair, price,
                                 currency, cutoff_minutes)
  select (:type || n)::uuid, (:clinic || n)::uuid, 'Check-up', 30, true, 5000, 'EUR', 60
    from generate_series(:first::int, :first + :clinics::int - 1) as n)
insert into chairs (chair_id, clinic_id, name)
select (:chair || n)::uuid, (:clinic || :first + (n - :first) / :chairs::int)::uuid, 'Chair ' || n
  from generate_series(:first::int, :first + :clinics::int * :chairs - 1) as n
"""
_PATIENTS = """
insert into known_people (person_id)
select (:patient || n)::uuid from generate_series(:first::int, :first + :count::int - 1) as n
"""
_BOOK = """
with r as materialized (
  select * from json_to_recordset(:rows::json)
    as r(id uuid, clinic uuid, practitioner uuid, patient uuid, type uuid, chair uuid,
         starts timestamptz, ends timestamptz)),
t as (
  insert into slots_taken (slot_id, kind, clinic_id, practitioner_id, patient_id, chair_id,
                           starts_at, ends_at)
  select id, 'APPOINTMENT', clinic, practitioner, patient, chair, starts, ends from r)
insert into appointments (appointment_id, patient_id, clinic_id, practitioner_id, type_id, chair_id,
                          starts_at, ends_at, status, amount, currency)
select id, patient, clinic, practitioner, type, chair, starts, ends, 'CONFIRMED', 5000, 'EUR' from r
"""


@dataclass(frozen=True)
class Large:
    """A clinic with many practitioners, who are all booked for some days in a row."""

    clinic_id: UUID
    type_id: UUID
    practitioners: Sequence[UUID]
    patients: Sequence[UUID]
    """Each has as many appointments as any other."""
    days: Sequence[date]


def fill(db: Database, first: date) -> None:
    """The clinics of ``infra.bench.timetable``, open daily, and what took place in the year before
    ``first``. ``db`` is a superuser's."""
    _open(db, FIRST, CLINICS, CHAIRS)
    _know(db, FIRST, PATIENTS)
    began = first - timedelta(days=660)
    rows = []
    for number in map(number_of, range(_PAST)):
        found = slot(number, began)
        # Everybody has a chair of their own here.
        chair = identity(5, FIRST + number % PRACTITIONERS)
        rows.append(_row(found, chair))
    _book(db, rows)


def fill_large(db: Database, first: date) -> Large:
    """A clinic of ``LARGE`` practitioners, with visits every half an hour of 12 days."""
    clinic, days = FIRST_LARGE, [first + timedelta(days=n) for n in range(12)]
    _open(db, clinic, 1, LARGE)
    _know(db, clinic, _REGULARS)
    rows, number = [], 0
    for day in days:
        ten = datetime.combine(day, time(10), UTC)
        for at in range(_HALVES):
            for who in range(LARGE):
                found = Slot(
                    identity(1, clinic),
                    identity(3, clinic),
                    identity(2, clinic + who),
                    identity(4, clinic + number % _REGULARS),
                    ten + at * HALF,
                )
                rows.append(_row(found, identity(5, clinic + who)))
                number += 1
    _book(db, rows)
    return Large(
        identity(1, clinic),
        identity(3, clinic),
        [identity(2, clinic + who) for who in range(LARGE)],
        [identity(4, clinic + number) for number in range(_REGULARS)],
        days,
    )


def _open(db: Database, first: int, clinics: int, chairs: int) -> None:
    hours = [[weekday, 8 * 60, 20 * 60, []] for weekday in range(1, 8)]
    db.all(
        _SCHEDULE,
        first=first,
        clinics=clinics,
        chairs=chairs,
        zone=_ZONE,
        hours=json.dumps(hours),
        **{name: str(identity(kind, FIRST))[:-6] for kind, name in _KINDS.items()},
    )


def _know(db: Database, first: int, count: int) -> None:
    db.all(_PATIENTS, patient=str(identity(4, FIRST))[:-6], first=first, count=count)


def _book(db: Database, rows: list[dict[str, str]]) -> None:
    for start in range(0, len(rows), 2_000):
        db.all(_BOOK, rows=json.dumps(rows[start : start + 2_000]))
    for table in _TABLES:
        db.all(f"vacuum analyze {table}")


def _row(found: Slot, chair: UUID) -> dict[str, str]:
    return {
        "id": str(uuid7()),
        "clinic": str(found.clinic_id),
        "practitioner": str(found.practitioner_id),
        "patient": str(found.patient_id),
        "type": str(found.type_id),
        "chair": str(chair),
        "starts": found.starts_at.isoformat(),
        "ends": (found.starts_at + HALF).isoformat(),
    }
