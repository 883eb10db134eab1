"""A group of clinics in appointment's database, in bulk: schedules, patients and a past."""

from __future__ import annotations

import json
from datetime import date, timedelta

from infra.bench.timetable import (
    CHAIRS,
    CLINICS,
    FIRST,
    HALF,
    PATIENTS,
    PRACTITIONERS,
    identity,
    number_of,
    slot,
)
from shared.db import Database
from shared.types import uuid7

__all__ = ["fill"]

_PAST = 20_000  # appointments
_ZONE = "Europe/Lisbon"  # 10:00 to 18:00 UTC is a working day there
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


def fill(db: Database, first: date) -> None:
    """The clinics of ``infra.bench.timetable``, open daily, and what took place in the year before
    ``first``. ``db`` is a superuser's."""
    hours = [[weekday, 8 * 60, 20 * 60, []] for weekday in range(1, 8)]
    db.all(
        _SCHEDULE,
        first=FIRST,
        clinics=CLINICS,
        chairs=CHAIRS,
        zone=_ZONE,
        hours=json.dumps(hours),
        **{name: str(identity(kind, FIRST))[:-6] for kind, name in _KINDS.items()},
    )
    patient = str(identity(4, FIRST))[:-6]
    db.all(_PATIENTS, patient=patient, first=FIRST, count=PATIENTS)
    began = first - timedelta(days=660)
    numbers = [number_of(i) for i in range(_PAST)]
    for start in range(0, _PAST, 2_000):
        rows = [_row(number, began) for number in numbers[start : start + 2_000]]
        db.all(_BOOK, rows=json.dumps(rows))
    for table in _TABLES:
        db.all(f"vacuum analyze {table}")


_KINDS = {1: "clinic", 2: "practitioner", 3: "type", 5: "chair"}


def _row(number: int, first: date) -> dict[str, str]:
    found = slot(number, first)
    return {
        "id": str(uuid7()),
        "clinic": str(found.clinic_id),
        "practitioner": str(found.practitioner_id),
        "patient": str(found.patient_id),
        "type": str(found.type_id),
        # Everybody has a chair of their own here.
        "chair": str(identity(5, FIRST + number % PRACTITIONERS)),
        "starts": found.starts_at.isoformat(),
        "ends": (found.starts_at + HALF).isoformat(),
    }
