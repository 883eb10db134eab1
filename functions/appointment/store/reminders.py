"""The SQL of reminders: what is due, and that there is one of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from shared.db import Database, Row, Tx

__all__ = ["About", "Outcome", "due", "lock", "patient_of", "reminded", "settle"]

Outcome = Literal["SENT", "SKIPPED"]

# Each lead whose moment has come and which is not settled yet brings the appointment here once.
_DUE = """
select a.appointment_id
  from appointments a
  left join clinic_settings s on s.clinic_id = a.clinic_id
 where a.status = 'CONFIRMED' and a.starts_at > :now
   and a.starts_at <= :now::timestamptz + interval '31 days'
   and exists (
     select from unnest(coalesce(s.reminder_hours, '{48,2}')) lead
      where a.starts_at - make_interval(hours => lead) <= :now
        and not exists (select from reminders r
                         where r.appointment_id = a.appointment_id
                           and r.starts_at = a.starts_at and r.hours_before = lead))
 order by a.starts_at, a.appointment_id limit :limit
"""
_LOCK = """
select a.appointment_id, a.patient_id, a.starts_at, a.status, a.timed_at,
       coalesce((select s.reminder_hours from clinic_settings s where s.clinic_id = a.clinic_id),
                '{48,2}') as leads,
       coalesce((select array_agg(r.hours_before) from reminders r
                  where r.appointment_id = a.appointment_id and r.starts_at = a.starts_at),
                '{}') as settled
  from appointments a where a.appointment_id = :id for update
"""
_SETTLE = """
insert into reminders
  (appointment_id, starts_at, hours_before, patient_id, outcome, settled_at)
select :appointment_id, :starts_at, lead, :patient_id, :outcome, :at
  from unnest(:leads::integer[]) lead
on conflict do nothing
"""


class About(NamedTuple):
    """An appointment at one of the times it was at."""

    appointment_id: UUID
    patient_id: UUID
    starts_at: datetime


def due(db: Database, now: datetime, limit: int) -> list[UUID]:
    """Appointments that have a reminder to be sent or skipped, the next ones first."""
    return [row["appointment_id"] for row in db.all(_DUE, now=now, limit=limit)]


def lock(tx: Tx, appointment_id: UUID) -> Row | None:
    """appointment_id, patient_id, starts_at, status, timed_at, leads, settled: for this
    transaction alone."""
    return tx.one(_LOCK, id=appointment_id)


def patient_of(tx: Tx, appointment_id: UUID) -> UUID | None:
    """Whose appointment it is."""
    found: UUID | None = tx.value(
        "select patient_id from appointments where appointment_id = :id", id=appointment_id
    )
    return found


def settle(tx: Tx, about: About, leads: Sequence[int], outcome: Outcome, at: datetime) -> int:
    """These leads are settled; how many were not before."""
    return tx.run(
        _SETTLE,
        appointment_id=about.appointment_id,
        patient_id=about.patient_id,
        starts_at=about.starts_at,
        leads=list(leads),
        outcome=outcome,
        at=at,
    )


def reminded(tx: Tx, appointment_id: UUID) -> None:
    """The appointment's row changes with what is emitted in its order."""
    tx.run(
        "update appointments set reminders = reminders + 1 where appointment_id = :id",
        id=appointment_id,
    )
