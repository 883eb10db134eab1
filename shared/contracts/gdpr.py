"""The erasure of a person (GDPR, article 17), on a topic that all services hear and answer on."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.messages import Event

__all__ = ["ERASER", "ErasureReason", "GdprDataDeletion", "GdprDataErased", "Held"]

ERASER = "auth"
"""Who erases first and asks the others."""

ErasureReason = Literal[
    "USER_REQUEST_ARTICLE_17",
    "CONSENT_WITHDRAWN",
    "NO_LONGER_NECESSARY",
    "UNLAWFUL_PROCESSING",
    "LEGAL_OBLIGATION",
]
"""The grounds of article 17(1); free text could itself name somebody."""


class Held(BaseModel):
    """What the law forbids to erase yet."""

    model_config = ConfigDict(frozen=True)

    what: str
    reason: str
    until: datetime


class GdprDataDeletion(Event):
    """Auth has erased this person; every other service does so now, and answers."""

    key: ClassVar[str] = "patient_id"
    shared_topic: ClassVar[str | None] = "gdpr"
    reaches_the_erased: ClassVar[bool] = True

    erasure_id: UUID
    patient_id: UUID
    """The person, staff too."""
    reason: ErasureReason
    requested_by: UUID | None = None
    requested_at: datetime


class GdprDataErased(Event):
    """A service has erased a person; counts of rows, nothing personal."""

    key: ClassVar[str] = "erasure_id"
    shared_topic: ClassVar[str | None] = "gdpr"

    erasure_id: UUID
    service: str
    erased: dict[str, int]
    """Table -> rows."""
    held: list[Held] = Field(default_factory=list)
    run: int = 1
    """Higher each time that the service has looked again at what it held."""
