"""What notification publishes and accepts."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from shared.messages import Command, Event, personal
from shared.types import Language

__all__ = ["DeliverEmail", "NotificationSent", "SendInvitation", "SendWelcome"]


class NotificationSent(Event):
    """A notification has left by this channel."""

    key: ClassVar[str] = "person_id"

    person_id: UUID
    notification_id: UUID
    kind: str
    channel: Literal["IN_APP", "EMAIL"]


class SendWelcome(Command):
    """Welcome a person whose account can be used now, by e-mail."""

    key: ClassVar[str] = "person_id"

    person_id: UUID
    language: Language = "en"


class SendInvitation(Command):
    """Send a person the one-time link by which the first password is set."""

    key: ClassVar[str] = "person_id"

    person_id: UUID
    language: Language = "en"
    link: str = personal()


class DeliverEmail(Command):
    """Try a given-up e-mail again: what redriving its dead letter means."""

    key: ClassVar[str] = "delivery_id"

    delivery_id: UUID
    person_id: UUID | None = None
    """Whose it is, so that an erasure takes the dead letter along."""
