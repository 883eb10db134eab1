"""Which events people are told of, and how: one row for each.

A new one is a row here, its texts in ``templates/<language>/<kind>.txt``, and a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from shared.contracts.appointment import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentCheckedIn,
    AppointmentCompleted,
    AppointmentConfirmed,
    AppointmentMissed,
    AppointmentReminderDue,
    AppointmentRequestDeclined,
    AppointmentRequested,
    AppointmentRescheduled,
    WaitlistOfferExpired,
    WaitlistSlotOffered,
)
from shared.contracts.auth import EmailUpdated, PasswordChanged, UserActivated, UserInvited
from shared.contracts.treatment import (
    PrescriptionIssued,
    TreatmentAccepted,
    TreatmentCompleted,
    TreatmentPlanned,
)
from shared.messages import Event

__all__ = ["BY_KIND", "MAIL_ONLY", "NOTICES", "SETTLING", "Channel", "Kind", "Notice"]

Channel = Literal["IN_APP", "EMAIL"]
_BOTH: tuple[Channel, ...] = ("IN_APP", "EMAIL")


@dataclass(frozen=True, slots=True)
class Notice:
    """How people are told of one event."""

    kind: str
    event: type[Event]
    facts: tuple[str, ...] = ()
    """The event's fields that the texts need; ``clinic_id`` gives them the clinic's name."""
    channels: tuple[Channel, ...] = _BOTH
    mandatory: bool = False
    """It warns the owner of an account that somebody else has got into."""
    choosable: bool = True
    """A person may have an opinion about it; whoever is invited has no account yet."""
    to: Literal["person", "reception"] = "person"
    """``reception``: everybody who is RECEPTIONIST of the event's ``clinic_id``."""
    when: Callable[[Any], bool] | None = None
    """Which of these events are told; None: all of them."""
    until: str | None = None
    """The fact with the moment after which it makes no sense to be told."""
    once: bool = False
    """A person is told once, whoever wants it."""


_VISIT = ("starts_at", "time_zone", "clinic_id")

NOTICES = (
    Notice("WELCOME", UserActivated, once=True),
    Notice(
        "INVITATION",
        UserInvited,
        facts=("link",),
        channels=("EMAIL",),
        choosable=False,
        # Where a saga invites, it orders the mail itself.
        when=lambda event: event.link is not None,
    ),
    Notice("PASSWORD_CHANGED", PasswordChanged, mandatory=True),
    Notice("EMAIL_UPDATED", EmailUpdated, mandatory=True),
    Notice("APPOINTMENT_REQUESTED", AppointmentRequested, ("clinic_id",), to="reception"),
    Notice("APPOINTMENT_REQUEST_DECLINED", AppointmentRequestDeclined, ("clinic_id", "reason")),
    Notice(
        "APPOINTMENT_BOOKED",
        AppointmentBooked,
        _VISIT,
        # What needs no deposit is confirmed at once, and that is what the person is told.
        when=lambda event: event.status == "PENDING",
        until="starts_at",
    ),
    Notice("APPOINTMENT_CONFIRMED", AppointmentConfirmed, (*_VISIT, "invite"), until="starts_at"),
    Notice(
        "APPOINTMENT_RESCHEDULED",
        AppointmentRescheduled,
        (*_VISIT, "previous_starts_at", "invite"),
        until="starts_at",
    ),
    Notice(
        "APPOINTMENT_CANCELLED",
        AppointmentCancelled,
        (*_VISIT, "cancelled_by", "invite"),
        until="starts_at",
    ),
    Notice("APPOINTMENT_REMINDER", AppointmentReminderDue, (*_VISIT, "link"), until="starts_at"),
    Notice(
        "WAITLIST_OFFER", WaitlistSlotOffered, (*_VISIT, "expires_at", "link"), until="expires_at"
    ),
    Notice("TREATMENT_PLANNED", TreatmentPlanned, ("clinic_id",)),
    Notice("PRESCRIPTION_ISSUED", PrescriptionIssued, ("clinic_id",)),
)

BY_KIND = {notice.kind: notice for notice in NOTICES}

SETTLING: frozenset[type[Event]] = frozenset(
    {
        AppointmentRequestDeclined,
        AppointmentConfirmed,
        AppointmentRescheduled,
        AppointmentCancelled,
        AppointmentCheckedIn,
        AppointmentCompleted,
        AppointmentMissed,
        WaitlistOfferExpired,
        TreatmentPlanned,
        TreatmentAccepted,
        TreatmentCompleted,
    }
)
"""After these, what was to be told of earlier versions of the same thing is out of date."""

MAIL_ONLY = frozenset({"link", "invite"})
"""Facts for a mail: whoever reads it in the app is logged in, and can act there."""

if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[tuple(BY_KIND)]
"""The kinds of the table."""
