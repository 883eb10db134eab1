"""The states of an appointment (events.md) and what leads from one to the next."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from shared.errors import Conflict

__all__ = [
    "CancelledBy",
    "NotPossible",
    "Status",
    "Step",
    "TooLate",
    "TooSoon",
    "in_time",
    "next_status",
    "stands",
]

Status = Literal["PENDING", "CONFIRMED", "CHECKED_IN", "COMPLETED", "CANCELLED", "MISSED"]
Step = Literal["confirm", "reschedule", "acknowledge", "cancel", "check-in", "complete", "miss"]
CancelledBy = Literal["PATIENT", "CLINIC", "SYSTEM"]

_STEPS: dict[Step, dict[Status, Status]] = {
    "confirm": {"PENDING": "CONFIRMED"},
    "reschedule": {"PENDING": "PENDING", "CONFIRMED": "CONFIRMED"},
    "acknowledge": {"CONFIRMED": "CONFIRMED"},
    "cancel": {"PENDING": "CANCELLED", "CONFIRMED": "CANCELLED", "CHECKED_IN": "CANCELLED"},
    "check-in": {"CONFIRMED": "CHECKED_IN"},
    "complete": {"CHECKED_IN": "COMPLETED"},
    "miss": {"CONFIRMED": "MISSED"},
}


class NotPossible(Conflict):
    """The appointment is in a state in which this cannot be done."""


class TooLate(Conflict):
    """It is too late to change this yourself: call the clinic."""


class TooSoon(Conflict):
    """The appointment has not begun yet."""


def next_status(status: Status, step: Step) -> Status:
    """The status after ``step``. Raises NotPossible."""
    try:
        return _STEPS[step][status]
    except KeyError:
        raise NotPossible(appointment_status=status) from None


def stands(status: Status) -> bool:
    """Does the appointment take somebody's time?"""
    return status not in ("CANCELLED", "MISSED")


def in_time(starts_at: datetime, cutoff: timedelta, now: datetime) -> bool:
    """May a patient still cancel or move an appointment whose type has this cut-off?"""
    return now <= starts_at - cutoff
