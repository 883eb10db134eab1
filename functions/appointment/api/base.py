"""What all of appointment's routes share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

from functions.appointment.domain.hours import Span
from functions.appointment.domain.states import CancelledBy, Status
from functions.appointment.domain.visits import Visit
from shared.access import STAFF, roles
from shared.http import Api, Reply

__all__ = [
    "CLINIC_DESK",
    "CLINIC_STAFF",
    "DESK",
    "Appointment",
    "Body",
    "Name",
    "Note",
    "Period",
    "answer",
    "api",
    "periods",
]

api = Api("appointment", prefix="/api/appointments")

CLINIC_STAFF = roles(*STAFF, clinic="clinic_id")
"""Whoever works at the clinic that the request names."""
DESK = ("RECEPTIONIST", "ADMIN")
"""The roles that keep a clinic's schedule."""
CLINIC_DESK = roles(*DESK, clinic="clinic_id")
"""Whoever keeps the schedule of the clinic that the request names."""

Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
"""Free text; it is kept sealed with the patient's key."""


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]


class Body(BaseModel):
    """What may be sent: nothing but the named fields."""

    model_config = ConfigDict(extra="forbid")


class Period(BaseModel):
    """From ``starts_at`` until just before ``ends_at``."""

    starts_at: datetime
    ends_at: datetime


class Appointment(BaseModel):
    """An appointment; ``amount`` is in the minor unit of ``currency`` (ISO 4217), and the times on
    the clinic's wall are those in ``time_zone``."""

    model_config = ConfigDict(from_attributes=True)

    appointment_id: UUID
    version: int
    patient_id: UUID
    clinic_id: UUID
    practitioner_id: UUID
    type_id: UUID
    chair_id: UUID | None
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    status: Status
    amount: int
    currency: str
    cancelled_by: CancelledBy | None
    cancelled_at: datetime | None
    acknowledged_at: datetime | None
    series_id: UUID | None
    booked_at: datetime

    @classmethod
    def of(cls, visit: Visit) -> Self:
        """The representation of ``visit``."""
        return cls.model_validate(visit)


def answer(visit: Visit, *, new: bool = False) -> Reply[Appointment]:
    """The appointment with its version as ETag; ``new`` with its address."""
    location = f"{api.prefix}/{visit.appointment_id}" if new else None
    return Reply(Appointment.of(visit), etag=visit.version, location=location)


def periods(spans: list[Span]) -> list[Period]:
    """The representation of ``spans``."""
    return [Period(starts_at=span.start, ends_at=span.end) for span in spans]
