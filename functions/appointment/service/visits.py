"""Telling others what became of an appointment."""

from __future__ import annotations

from functions.appointment.domain.visits import Visit
from functions.appointment.store.hooks import Method, invite
from shared.contracts.appointment import (
    AppointmentAcknowledged,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentCheckedIn,
    AppointmentCompleted,
    AppointmentConfirmed,
    AppointmentMissed,
    AppointmentReminderDue,
    AppointmentRescheduled,
)
from shared.db import Tx

__all__ = ["VisitEvent", "tell"]

VisitEvent = (
    AppointmentAcknowledged
    | AppointmentBooked
    | AppointmentCancelled
    | AppointmentCheckedIn
    | AppointmentCompleted
    | AppointmentConfirmed
    | AppointmentMissed
    | AppointmentReminderDue
    | AppointmentRescheduled
)
_INVITES: dict[type[VisitEvent], Method] = {
    AppointmentConfirmed: "REQUEST",
    AppointmentRescheduled: "REQUEST",
    AppointmentCancelled: "CANCEL",
}


def tell(tx: Tx, visit: Visit, event: type[VisitEvent], **more: object) -> None:
    """Emit ``event`` about ``visit``, whose row this transaction has inserted or changed.

    ``more`` are the event's own fields. An iCalendar object goes with what moves a calendar.
    """
    if event in _INVITES:
        more["invite"] = invite(visit, _INVITES[event])
    message = event.model_validate(
        {
            "appointment_id": visit.appointment_id,
            "patient_id": visit.patient_id,
            "clinic_id": visit.clinic_id,
            "practitioner_id": visit.practitioner_id,
            "type_id": visit.type_id,
            "starts_at": visit.starts_at,
            "ends_at": visit.ends_at,
            "time_zone": visit.time_zone,
            **more,
        }
    )
    tx.emit(message, version=visit.version)
