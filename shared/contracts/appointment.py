"""What appointment publishes."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime

from shared.messages import Event, personal

__all__ = [
    "AppointmentAcknowledged",
    "AppointmentBooked",
    "AppointmentCancelled",
    "AppointmentCheckedIn",
    "AppointmentCompleted",
    "AppointmentConfirmed",
    "AppointmentMissed",
    "AppointmentReminderDue",
    "AppointmentRequestDeclined",
    "AppointmentRequested",
    "AppointmentRescheduled",
    "WaitlistOfferExpired",
    "WaitlistSlotOffered",
]


class _Slot(Event):
    """A patient's time with a practitioner, for a type of appointment."""

    patient_id: UUID
    clinic_id: UUID
    practitioner_id: UUID
    type_id: UUID
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    time_zone: str
    """The clinic's (IANA): people are told the time on its wall."""


class _Visit(_Slot):
    """One appointment, as of the version in the metadata."""

    key: ClassVar[str] = "appointment_id"

    appointment_id: UUID


class AppointmentBooked(_Visit):
    """The slot is taken; PENDING while a deposit is due."""

    notify: ClassVar[bool] = True

    status: Literal["PENDING", "CONFIRMED"] = "CONFIRMED"


class AppointmentConfirmed(_Visit):
    """The appointment stands: its deposit is paid, or none was due."""

    notify: ClassVar[bool] = True

    invite: str | None = personal(default=None)
    """An iCalendar object (RFC 5546, METHOD:REQUEST) to attach."""


class AppointmentAcknowledged(_Visit):
    """The patient says yes to a reminder."""


class AppointmentRescheduled(_Visit):
    """The appointment is at another time, or with somebody else."""

    notify: ClassVar[bool] = True

    previous_starts_at: AwareDatetime
    invite: str | None = personal(default=None)


class AppointmentCancelled(_Visit):
    """The appointment does not take place; its slot is free."""

    notify: ClassVar[bool] = True

    cancelled_by: Literal["PATIENT", "CLINIC", "SYSTEM"]
    invite: str | None = personal(default=None)
    """An iCalendar object (RFC 5546, METHOD:CANCEL) to attach."""


class AppointmentCheckedIn(_Visit):
    """The patient is there."""


class AppointmentCompleted(_Visit):
    """The visit is over."""


class AppointmentMissed(_Visit):
    """The patient did not come."""


class AppointmentReminderDue(_Visit):
    """The patient is to be reminded now; once for each appointment time and ``hours_before``."""

    notify: ClassVar[bool] = True

    hours_before: int
    link: str = personal()
    """Where the patient says yes or cancels, without logging in."""


class AppointmentRequested(Event):
    """A patient asks reception for an appointment."""

    key: ClassVar[str] = "request_id"
    notify: ClassVar[bool] = True

    request_id: UUID
    patient_id: UUID
    clinic_id: UUID


class AppointmentRequestDeclined(Event):
    """Reception could not give what was asked for."""

    key: ClassVar[str] = "request_id"
    notify: ClassVar[bool] = True

    request_id: UUID
    patient_id: UUID
    clinic_id: UUID
    reason: str = personal()


class WaitlistSlotOffered(_Slot):
    """A freed slot is held for the patient until ``expires_at``."""

    key: ClassVar[str] = "offer_id"
    notify: ClassVar[bool] = True

    offer_id: UUID
    wish_id: UUID
    expires_at: AwareDatetime
    link: str = personal()
    """Where the patient accepts or declines, without logging in."""


class WaitlistOfferExpired(Event):
    """The patient did not answer in time; the slot goes to the next."""

    key: ClassVar[str] = "offer_id"

    offer_id: UUID
    wish_id: UUID
    patient_id: UUID
