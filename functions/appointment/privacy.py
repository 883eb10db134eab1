"""What appointment knows about people."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from functions.appointment.store.hooks import freed
from functions.appointment.store.slots import release_all
from shared.db import Tx
from shared.privacy import Hold, Personal, Privacy

__all__ = ["privacy"]

# What took place, or may have. What is still to come, was cancelled or missed, nobody has to keep.
_TOOK_PLACE = """
case when status in ('CANCELLED', 'MISSED') then null
     when status in ('PENDING', 'CONFIRMED') and ends_at > now() then null
     else ends_at end"""


def _free_slots(tx: Tx, person: UUID) -> Mapping[str, int]:
    """Nobody waits for somebody who was erased: their time is free for others."""
    slots = release_all(tx, person)
    for slot in slots:
        freed(tx, slot)
    return {"slots_taken": len(slots)}


privacy = Privacy(
    tables=(
        Personal(
            "waitlist_offers",
            person="patient_id",
            plain=(
                "offer_id",
                "wish_id",
                "clinic_id",
                "practitioner_id",
                "type_id",
                "starts_at",
                "ends_at",
                "status",
                "made_at",
                "expires_at",
            ),
        ),
        Personal(
            "waitlist_wishes",
            person="patient_id",
            plain=(
                "wish_id",
                "clinic_id",
                "type_id",
                "practitioner_id",
                "windows",
                "status",
                "appointment_id",
                "made_at",
            ),
        ),
        Personal(
            "appointment_requests",
            person="patient_id",
            plain=(
                "request_id",
                "clinic_id",
                "type_id",
                "practitioner_id",
                "windows",
                "status",
                "appointment_id",
                "made_at",
                "decided_at",
            ),
            sealed={
                "note": "appointment_requests.note",
                "reason": "appointment_requests.reason",
            },
        ),
        Personal(
            "reminders",
            person="patient_id",
            plain=("appointment_id", "starts_at", "hours_before", "outcome", "settled_at"),
        ),
        # The hash is a key to the calendar: it is erased, and never shown.
        Personal("calendar_feeds", plain=("made_at",)),
        # Deleted by what frees them, so that whoever waits for a slot hears of it.
        Personal("slots_taken", person="patient_id", erase="keep"),
        Personal(
            "appointments",
            person="patient_id",
            plain=(
                "appointment_id",
                "clinic_id",
                "practitioner_id",
                "type_id",
                "starts_at",
                "ends_at",
                "status",
                "amount",
                "currency",
                "cancelled_by",
                "cancelled_at",
                "acknowledged_at",
                "booked_at",
            ),
            sealed={"note": "note", "cancellation_reason": "cancellation_reason"},
            hold=Hold("appointment", since=_TOOK_PLACE),
        ),
        Personal(
            "schedule_exceptions",
            person="practitioner_id",
            plain=("clinic_id", "kind", "starts", "ends"),
        ),
        Personal(
            "practitioners",
            person="practitioner_id",
            plain=("clinic_id", "display_name", "active", "hours"),
            erase="anonymise",
            change={"display_name": "''", "active": "false", "hours": "'[]'"},
        ),
    ),
    impersonal=frozenset(
        {"appointment_types", "chairs", "clinic_settings", "clinics", "waitlist_slots"}
    ),
    outside=_free_slots,
)
