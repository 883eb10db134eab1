"""Links in messages: what they lead to is asked of the tables, not of the link."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared import links
from shared.config import config
from shared.runtime import vault

__all__ = ["offer_in", "offer_link", "reminder_in", "reminder_link"]

_OFFER = "waitlist offer"
_REMINDER = "appointment reminder"


def offer_link(offer_id: UUID, expires_at: datetime) -> str:
    """Where the patient answers an offer."""
    token = links.make(vault("appointment"), _OFFER, {"offer": str(offer_id)}, expires_at)
    return f"{config().public_url}/api/appointments/links/offers/{token}"


def offer_in(token: str) -> UUID:
    """The offer that a link is about. Raises NotFound, Gone."""
    return UUID(links.read(vault("appointment"), _OFFER, token)["offer"])


def reminder_link(appointment_id: UUID, starts_at: datetime) -> str:
    """Where the patient answers a reminder of an appointment at that time."""
    data = {"appointment": str(appointment_id), "starts_at": starts_at.isoformat()}
    token = links.make(vault("appointment"), _REMINDER, data, starts_at)
    return f"{config().public_url}/api/appointments/links/reminders/{token}"


def reminder_in(token: str) -> tuple[UUID, datetime]:
    """The appointment that a link is about, and when it was then. Raises NotFound, Gone."""
    data = links.read(vault("appointment"), _REMINDER, token)
    return UUID(data["appointment"]), datetime.fromisoformat(data["starts_at"])
