"""What requests and wishes are made of."""

from __future__ import annotations

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from functions.appointment.api.base import Body
from functions.appointment.domain.hours import Span
from functions.appointment.domain.waitlist import MOST_WINDOWS
from functions.appointment.service.wanted import Wanted
from shared.pages import Moment, PageQuery

__all__ = ["Asked", "AskedQuery", "Window"]


class Window(Body):
    """When the patient could come: from ``starts_at`` on, and gone again by ``ends_at``."""

    starts_at: Moment
    ends_at: Moment

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.starts_at >= self.ends_at:
            raise ValueError("starts_at comes before ends_at")
        return self

    @property
    def span(self) -> Span:
        """As the use cases take it."""
        return Span(self.starts_at, self.ends_at)


class Asked(Body):
    """For what, when, and perhaps with whom."""

    patient_id: UUID
    clinic_id: UUID
    type_id: UUID
    practitioner_id: UUID | None = None
    windows: Annotated[list[Window], Field(min_length=1, max_length=MOST_WINDOWS)]

    def wanted(self) -> Wanted:
        """As the use cases take it."""
        return Wanted(
            patient_id=self.patient_id,
            clinic_id=self.clinic_id,
            type_id=self.type_id,
            practitioner_id=self.practitioner_id,
            windows=[window.span for window in self.windows],
        )


class AskedQuery(PageQuery):
    """Whose: staff name their clinic, patients themselves."""

    clinic_id: UUID | None = None
    patient_id: UUID | None = None
