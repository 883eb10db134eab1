"""Appointments: reading them for whoever may see them, and changing one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from functions.appointment.domain.states import Status
from functions.appointment.domain.visits import Visit
from functions.appointment.store.scope import mine
from functions.appointment.store.slots import Slot, slot_of
from shared.audit import audited, entry, visible, who
from shared.db import Database, Row, Tx
from shared.privacy import guard
from shared.wire import Statement

__all__ = [
    "FROM",
    "VISIT",
    "Filter",
    "change",
    "day",
    "find",
    "listing",
    "lock",
    "of_series",
    "show",
]

VISIT = """
       a.appointment_id, a.version, a.patient_id, a.clinic_id, a.practitioner_id, a.type_id,
       a.chair_id, a.starts_at, a.ends_at, a.status, a.amount, a.currency, a.cancelled_by,
       a.cancelled_at, a.acknowledged_at, a.series_id, a.booked_at, c.time_zone,
       c.name as clinic_name"""
FROM = "from appointments a join clinics c on c.clinic_id = a.clinic_id"
_MINE = mine("a")
# What is held of somebody who was erased is neither changed nor answered for.
_ALIVE = "not exists (select from erased_people d where d.person_id = a.patient_id)"

_FIND = f"""
select {VISIT}, t.cutoff_minutes
  {FROM} join appointment_types t on t.type_id = a.type_id
 where a.appointment_id = :appointment_id and {_MINE} and {_ALIVE}
"""  # nosec B608

_SHOW = audited(
    f"""
select {VISIT}, a.note, a.cancellation_reason, s.version as key_version, s.wrapped as key_wrapped
  {FROM} left join subject_keys s on s.subject = a.patient_id
 where a.appointment_id = :appointment_id and {_MINE}""",  # nosec B608
    action="read",
    what="appointment",
    person="patient_id",
)

# The planner sees the values: a filter that is not used costs nothing.
_LIST = (
    audited(
        f"""
select {VISIT}
  {FROM}
 where {_MINE} and {visible("a.patient_id")}
   and (:clinic_id::uuid is null or a.clinic_id = :clinic_id::uuid)
   and (:practitioner_id::uuid is null or a.practitioner_id = :practitioner_id::uuid)
   and (:patient_id::uuid is null or a.patient_id = :patient_id::uuid)
   and (:series_id::uuid is null or a.series_id = :series_id::uuid)
   and (:status::text is null or a.status = :status::text)
   and (:since::timestamptz is null or a.starts_at >= :since::timestamptz)
   and (:until::timestamptz is null or a.starts_at < :until::timestamptz)
   and (:day::date is null
        or (a.starts_at >= :day::date::timestamp at time zone c.time_zone
            and a.starts_at < (:day::date + 1)::timestamp at time zone c.time_zone
            and a.starts_at > :day::date::timestamp at time zone 'UTC' - interval '1 day'
            and a.starts_at < :day::date::timestamp at time zone 'UTC' + interval '2 days'))
   and (:after::uuid is null
        or (a.starts_at, a.appointment_id) > (:after_starts::timestamptz, :after::uuid))
 order by a.starts_at, a.appointment_id limit :limit""",  # nosec B608
        action="read",
        what="appointment",
        person="patient_id",
    )
    + " order by starts_at, appointment_id"
)

# Everybody who works at the clinic, with or without appointments: those make a row for each.
_DAY = (
    audited(
        f"""
select p.practitioner_id as of_practitioner, p.display_name, p.hours, c.time_zone as zone,
       (select json_agg(json_build_array(e.kind, e.starts, e.ends))
          from schedule_exceptions e
         where e.clinic_id = p.clinic_id
           and (e.practitioner_id is null or e.practitioner_id = p.practitioner_id)
           and e.starts < :day::date + 2 and e.ends > :day::date - 1) as exceptions,
       v.*
  from practitioners p
  join clinics c on c.clinic_id = p.clinic_id
  left join lateral (
    select {VISIT}
      from appointments a
     where a.clinic_id = p.clinic_id and a.practitioner_id = p.practitioner_id
       and {visible("a.patient_id")}
       and a.starts_at >= :day::date::timestamp at time zone c.time_zone
       and a.starts_at < (:day::date + 1)::timestamp at time zone c.time_zone) v on true
 where p.clinic_id = :clinic_id and (p.active or v.appointment_id is not null)""",  # nosec B608
        action="read",
        what="appointment",
        person="patient_id",
        where="patient_id is not null",
    )
    + " order by display_name, of_practitioner, starts_at, appointment_id"
)

_SERIES = f"""
select {VISIT}, t.cutoff_minutes
  {FROM} join appointment_types t on t.type_id = a.type_id
 where a.series_id = :series_id and a.status in ('PENDING', 'CONFIRMED') and a.starts_at > :now
   and {_MINE} and {_ALIVE}
 order by a.starts_at
"""  # nosec B608

_RELEASE = """
delete from slots_taken where slot_id = :appointment_id
returning slot_id, kind, clinic_id, practitioner_id, patient_id, chair_id, starts_at, ends_at
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which appointments are asked for; None: whatever it is. ``day`` is a day at the clinic."""

    clinic_id: UUID | None = None
    practitioner_id: UUID | None = None
    patient_id: UUID | None = None
    series_id: UUID | None = None
    status: Status | None = None
    day: date | None = None
    since: datetime | None = None
    until: datetime | None = None


def find(source: Database | Tx, appointment_id: UUID, scope: Mapping[str, Any]) -> Row | None:
    """The appointment and its type's cutoff_minutes, to decide by, where it is in ``scope``
    (service/scope.py) and its patient was not erased. It is shown to nobody."""
    return source.one(_FIND, appointment_id=appointment_id, **scope)


def lock(appointment_id: UUID) -> Statement:
    """Lets nobody else change the appointment; comes behind the patient's ``guard``."""
    sql = "select from appointments where appointment_id = :id for update"
    return Statement(sql, {"id": appointment_id})


def show(source: Database | Tx, appointment_id: UUID, scope: Mapping[str, Any]) -> Row | None:
    """The appointment with what is sealed and its key, to be shown to whoever acts."""
    return source.one(_SHOW, appointment_id=appointment_id, **scope, **who())


def listing(
    db: Database,
    wanted: Filter,
    scope: Mapping[str, Any],
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Row]:
    """Appointments in order of time, behind ``after``, to be shown to whoever acts."""
    columns = {name: getattr(wanted, name) for name in Filter.__slots__}
    return db.all(
        _LIST,
        **columns,
        **scope,
        after_starts=after[0] if after else None,
        after=after[1] if after else None,
        limit=limit,
        **who(),
    )


def day(db: Database, clinic_id: UUID, on: date) -> list[Row]:
    """Everybody who works at the clinic with the appointments of a local day, in one statement:
    of_practitioner, display_name, hours, exceptions, zone, and an appointment or nulls."""
    return db.all(_DAY, clinic_id=clinic_id, day=on, **who())


def of_series(
    tx: Tx, series_id: UUID, now: datetime, scope: Mapping[str, Any], *, lock: bool = False
) -> list[Row]:
    """What is still to come of a series; ``lock``: for this transaction alone."""
    sql = f"{_SERIES} for update of a" if lock else _SERIES
    return tx.all(sql, series_id=series_id, now=now, **scope)


def change(
    tx: Tx, visit: Visit, columns: Mapping[str, Any], *, release: bool = False
) -> tuple[int | None, Slot | None]:
    """Save ``columns`` over ``visit``: its next version, None where it has changed meanwhile (or
    its patient was erased); and the slot that it had, where ``release`` frees it. On record."""
    assigned = "".join(f", {name} = :{name}" for name in columns)
    update = Statement(
        f"update appointments set version = version + 1, changed_at = now(){assigned}"  # nosec B608
        " where appointment_id = :appointment_id and version = :version"
        " and not exists (select from erased_people where person_id = patient_id)"
        " returning version",
        {"appointment_id": visit.appointment_id, "version": visit.version, **columns},
    )
    batch = [guard(visit.patient_id), update, entry(visit.patient_id, "write", "appointment")]
    if release:
        batch.append(Statement(_RELEASE, {"appointment_id": visit.appointment_id}))
    answers = tx.batch(*batch)
    freed = answers[3].rows if release else []
    version = int(answers[1].rows[0]["version"]) if answers[1].rows else None
    return version, slot_of(freed[0]) if freed else None
