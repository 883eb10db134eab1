"""What has to be known to decide whether and when there is time: read in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from functions.appointment.domain.hours import Exceptional, Span, Weekly, working
from functions.appointment.domain.slots import Busy
from shared.db import Database, Row, Tx
from shared.wire import Statement

__all__ = ["Schedule", "Wish", "busy", "exceptional", "read", "schedule_of", "statement"]

# One row, whatever is missing. Exceptions are compared on the clinic's wall, a day wider than the
# window: whoever adds spans of instants cuts them to it.
_READ = """
select t.clinic_id, t.active as type_active, t.duration_minutes, t.needs_chair, t.price,
       t.currency, t.cutoff_minutes, c.time_zone, c.name as clinic_name, p.hours,
       p.active as practitioner_active,
       (select json_agg(json_build_array(e.kind, e.starts, e.ends))
          from schedule_exceptions e
         where e.clinic_id = t.clinic_id
           and (e.practitioner_id is null or e.practitioner_id = :practitioner_id)
           and e.starts < :until::timestamptz at time zone 'UTC' + interval '1 day'
           and e.ends > :since::timestamptz at time zone 'UTC' - interval '1 day') as exceptions,
       exists (select from known_people k where k.person_id = :patient_id::uuid and not k.gone)
         as known,
       exists (select from erased_people d where d.person_id = :patient_id::uuid) as erased,
       s.version as key_version, s.wrapped as key_wrapped
  from appointment_types t
  join clinics c on c.clinic_id = t.clinic_id
  left join practitioners p
    on p.clinic_id = t.clinic_id and p.practitioner_id = :practitioner_id
  left join subject_keys s on s.subject = :patient_id::uuid
 where t.type_id = :type_id
"""

# What is taken, by whom it concerns. A chair that nobody uses has a row, too; appointments that
# follow each other in a chair make one row: a large clinic has thousands in a month.
_BUSY = """
select 'PRACTITIONER' as whose, null::uuid as chair_id, starts_at, ends_at
  from slots_taken
 where int8range(practitioner_key, practitioner_key, '[]')
       && int8range(slot_key(:practitioner_id), slot_key(:practitioner_id), '[]')
   and tstzrange(starts_at, ends_at) && tstzrange(:since, :until)
union all
select 'PATIENT', null::uuid, starts_at, ends_at
  from slots_taken
 where :patient_id::uuid is not null and int8range(patient_key, patient_key, '[]')
       && int8range(slot_key(:patient_id::uuid), slot_key(:patient_id::uuid), '[]')
   and tstzrange(starts_at, ends_at) && tstzrange(:since, :until)
union all
select 'CHAIR', c.chair_id, lower(t.span), upper(t.span)
  from chairs c
  left join lateral (
    select unnest(range_agg(tstzrange(s.starts_at, s.ends_at))) as span
      from slots_taken s
     where int8range(s.chair_key, s.chair_key, '[]')
           && int8range(slot_key(c.chair_id), slot_key(c.chair_id), '[]')
       and tstzrange(s.starts_at, s.ends_at) && tstzrange(:since, :until)
       and s.chair_id is not null) t on true
 where :needs_chair and c.clinic_id = :clinic_id
   and c.active and (:chair_id::uuid is null or c.chair_id = :chair_id::uuid)
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody's time with a practitioner, for a type of appointment; ``patient_id`` None: of
    whoever it may be."""

    practitioner_id: UUID
    type_id: UUID
    patient_id: UUID | None = None
    chair_id: UUID | None = None
    """This chair and no other."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The type of an appointment and the practitioner's hours in a window of time."""

    clinic_id: UUID
    clinic_name: str
    zone: ZoneInfo
    duration: timedelta
    needs_chair: bool
    price: int
    currency: str
    cutoff: timedelta
    bookable: bool
    """The type is offered, and the practitioner works at its clinic."""
    work: list[Span]
    known: bool
    """There is such a patient, as far as is known here."""
    erased: bool
    key_version: int | None
    key_wrapped: bytes | None

    def slot(self, starts_at: datetime) -> Span:
        """The slot of an appointment that begins then."""
        return Span(starts_at, starts_at + self.duration)


def statement(wish: Wish, window: Span) -> Statement:
    """The statement that reads what ``schedule_of`` takes."""
    return Statement(_READ, {**_named(wish), "since": window.start, "until": window.end})


def read(source: Database | Tx, wish: Wish, window: Span) -> Schedule | None:
    """The schedule for ``wish`` within ``window``; None where there is no such type."""
    asked = statement(wish, window)
    row = source.one(asked.sql, **asked.params)
    return None if row is None else schedule_of(row, window)


def schedule_of(row: Row, window: Span) -> Schedule:
    """The schedule in a row."""
    zone = ZoneInfo(row["time_zone"])
    weekly = [Weekly(*hours) for hours in row["hours"] or ()]
    exceptions = [exceptional(one) for one in row["exceptions"] or ()]
    return Schedule(
        clinic_id=row["clinic_id"],
        clinic_name=row["clinic_name"],
        zone=zone,
        duration=timedelta(minutes=row["duration_minutes"]),
        needs_chair=row["needs_chair"],
        price=row["price"],
        currency=row["currency"],
        cutoff=timedelta(minutes=row["cutoff_minutes"]),
        bookable=row["type_active"] and bool(row["practitioner_active"]),
        work=working(weekly, exceptions, zone, window),
        known=row["known"],
        erased=row["erased"],
        key_version=row["key_version"],
        key_wrapped=row["key_wrapped"],
    )


def busy(source: Database | Tx, wish: Wish, schedule: Schedule, window: Span) -> Busy:
    """What is taken in ``window`` of all whom ``wish`` concerns, by appointments and offers."""
    practitioner: list[Span] = []
    patient: list[Span] = []
    chairs: dict[UUID, list[Span]] = {}
    params = {
        "practitioner_id": wish.practitioner_id,
        "patient_id": wish.patient_id,
        "chair_id": wish.chair_id,
        "clinic_id": schedule.clinic_id,
        "needs_chair": schedule.needs_chair or wish.chair_id is not None,
    }
    for row in source.all(_BUSY, since=window.start, until=window.end, **params):
        if row["whose"] == "CHAIR":
            taken = chairs.setdefault(row["chair_id"], [])
        else:
            taken = practitioner if row["whose"] == "PRACTITIONER" else patient
        if row["starts_at"] is not None:
            taken.append(Span(row["starts_at"], row["ends_at"]))
    return Busy(
        sorted(practitioner),
        sorted(patient),
        [sorted(taken) for taken in chairs.values()] if params["needs_chair"] else None,
    )


def _named(wish: Wish) -> dict[str, Any]:
    return {
        "practitioner_id": wish.practitioner_id,
        "type_id": wish.type_id,
        "patient_id": wish.patient_id,
    }


def exceptional(values: list[Any]) -> Exceptional:
    """The exception in an item of the column ``exceptions``."""
    kind, starts, ends = values
    return Exceptional(kind, datetime.fromisoformat(starts), datetime.fromisoformat(ends))
