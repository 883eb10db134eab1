"""The slot of an offer: taken for whoever is asked, and made an appointment's when they say yes.

It stands in ``slots_taken`` under the offer's id, so nobody can book what is on offer, and saying
yes cannot come too late for the slot.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from functions.appointment.store.booking import CHOOSE
from functions.appointment.store.slots import Slot
from shared.db import Tx

__all__ = ["hold", "turn_into_appointment"]

_HOLD = f"with {CHOOSE} select chair_id from taken"  # nosec B608

_TURN = """
with taken as (
  update slots_taken set slot_id = :appointment_id, kind = 'APPOINTMENT'
   where slot_id = :offer_id and kind = 'OFFER'
  returning slot_id, clinic_id, practitioner_id, patient_id, chair_id, starts_at, ends_at)
insert into appointments (appointment_id, patient_id, clinic_id, practitioner_id, type_id,
                          chair_id, starts_at, ends_at, status, amount, currency, booked_by,
                          booked_at, timed_at)
select k.slot_id, k.patient_id, k.clinic_id, k.practitioner_id, t.type_id, k.chair_id,
       k.starts_at, k.ends_at, 'CONFIRMED', t.price, t.currency, :booked_by::uuid, :now, :now
  from taken k join appointment_types t on t.type_id = :type_id
"""


def hold(tx: Tx, slot: Slot, *, needs_chair: bool) -> bool:
    """Take the slot of an offer, with any chair where one is needed, under READ COMMITTED; False
    where somebody has no time."""
    params = {**slot.columns, "needs_chair": needs_chair, "preferred": None, "again": False}
    return tx.one(_HOLD, **params) is not None


def turn_into_appointment(tx: Tx, offer_id: UUID, appointment_id: UUID, **columns: Any) -> bool:
    """Make the appointment (``type_id``, ``booked_by``, ``now``) that has the offer's slot; False
    where the offer holds none."""
    return tx.run(_TURN, offer_id=offer_id, appointment_id=appointment_id, **columns) == 1
