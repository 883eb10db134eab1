"""Taking a slot, for a new appointment or for one that moves; a chair that is free is found in
the same statement. All of it under READ COMMITTED (store/slots.py says why)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.appointment.domain.states import Status
from functions.appointment.store.slots import Slot
from shared.db import Row, Tx
from shared.wire import Statement

__all__ = ["CHOOSE", "New", "insert", "move"]

# Who comes second picks chairs at random: of many who race for them, few then meet again.
CHOOSE = """
chosen as materialized (
  select c.chair_id from chairs c
   where :needs_chair and c.clinic_id = :clinic_id
     and c.active and (:chair_id::uuid is null or c.chair_id = :chair_id::uuid)
     and not exists (
       select from slots_taken s
        where int8range(s.chair_key, s.chair_key, '[]')
              && int8range(slot_key(c.chair_id), slot_key(c.chair_id), '[]')
          and tstzrange(s.starts_at, s.ends_at) && tstzrange(:starts_at, :ends_at)
          and s.chair_id is not null)
   order by case when :again then random() end, c.chair_id is distinct from :preferred::uuid, c.name
   limit 1),
taken as (
  insert into slots_taken (slot_id, kind, clinic_id, practitioner_id, patient_id, chair_id,
                           starts_at, ends_at)
  select :slot_id, :kind, :clinic_id, :practitioner_id, :patient_id,
         (select chair_id from chosen), :starts_at, :ends_at
   where not :needs_chair or exists (select from chosen)
  on conflict do nothing
  returning slot_id, chair_id)
"""

_INSERT = f"""
with {CHOOSE}
insert into appointments (appointment_id, patient_id, clinic_id, practitioner_id, type_id, chair_id,
                          starts_at, ends_at, status, amount, currency, note, series_id, booked_by,
                          booked_at, timed_at)
select slot_id, :patient_id, :clinic_id, :practitioner_id, :type_id, chair_id, :starts_at, :ends_at,
       :status, :amount, :currency, :note, :series_id, :booked_by, :booked_at, :booked_at
  from taken
returning chair_id
"""  # nosec B608

_MOVE = f"with {CHOOSE} select chair_id from taken"  # nosec B608


@dataclass(frozen=True, slots=True)
class New:
    """An appointment to be made; its ``slot`` says who, with whom, when, and which chair if it
    has to be a certain one."""

    slot: Slot
    type_id: UUID
    needs_chair: bool
    status: Status
    amount: int
    currency: str
    note: bytes | None
    series_id: UUID | None
    booked_by: UUID | None
    booked_at: datetime


def insert(tx: Tx, new: New, *more: Statement, again: bool = False) -> Row | None:
    """Take the slot and make the appointment at version 1: its chair_id; None where
    somebody has no time. ``more`` travels with it. ``again``: somebody else took the chair."""
    slot = _slot(new.slot, needs_chair=new.needs_chair, preferred=None, again=again)
    rows = tx.batch(Statement(_INSERT, {**slot, **_made(new)}), *more)[0].rows
    return rows[0] if rows else None


def move(
    tx: Tx, slot: Slot, *, needs_chair: bool, preferred: UUID | None, again: bool
) -> Row | None:
    """Give up the slot that the appointment has and take ``slot`` for it: its chair_id, the
    ``preferred`` one where that is free; None where somebody has no time, and the transaction must
    be rolled back."""
    give_up = Statement("delete from slots_taken where slot_id = :id", {"id": slot.slot_id})
    params = _slot(slot, needs_chair=needs_chair, preferred=preferred, again=again)
    rows = tx.batch(give_up, Statement(_MOVE, params))[1].rows
    return rows[0] if rows else None


def _slot(slot: Slot, *, needs_chair: bool, preferred: UUID | None, again: bool) -> dict[str, Any]:
    return {
        **slot.columns,
        "needs_chair": needs_chair,
        "preferred": preferred,
        "again": again,
    }


def _made(new: New) -> dict[str, Any]:
    return {
        "type_id": new.type_id,
        "status": new.status,
        "amount": new.amount,
        "currency": new.currency,
        "note": new.note,
        "series_id": new.series_id,
        "booked_by": new.booked_by,
        "booked_at": new.booked_at,
    }
