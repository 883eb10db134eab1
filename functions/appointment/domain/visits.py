"""An appointment as the service's parts hand it to each other; nothing sealed is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from functions.appointment.domain.states import CancelledBy, Status

__all__ = ["Visit"]


@dataclass(frozen=True, slots=True)
class Visit:
    """One appointment, as of ``version``, which rises with each change (and serves as iCalendar's
    SEQUENCE, too). ``time_zone`` and ``clinic_name`` are the clinic's."""

    appointment_id: UUID
    version: int
    patient_id: UUID
    clinic_id: UUID
    practitioner_id: UUID
    type_id: UUID
    chair_id: UUID | None
    starts_at: datetime
    ends_at: datetime
    status: Status
    amount: int
    currency: str
    cancelled_by: CancelledBy | None
    cancelled_at: datetime | None
    acknowledged_at: datetime | None
    series_id: UUID | None
    booked_at: datetime
    time_zone: str
    clinic_name: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The appointment in a row of ``store.appointments``."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})
