"""What dental_records publishes: references, no findings."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime

from shared.messages import Event

__all__ = ["ToothInterventionPerformed", "ToothProblemDiagnosed", "ToothRecordCorrected"]


class _Record(Event):
    """About one patient's teeth (ISO 3950), as of the stream's version in the metadata."""

    key: ClassVar[str] = "patient_id"

    patient_id: UUID


class ToothProblemDiagnosed(_Record):
    """A problem stands in the chart."""

    problem_id: UUID
    tooth: str


class ToothInterventionPerformed(_Record):
    """Something was done to one or several teeth."""

    intervention_id: UUID
    teeth: list[str]
    problem_ids: list[UUID]
    treatment_item_id: UUID | None = None
    """The item of a treatment plan that this completes."""
    performer_id: UUID
    performed_at: AwareDatetime


class ToothRecordCorrected(_Record):
    """A record was corrected, or marked as entered in error."""

    record_id: UUID
    record: Literal["problem", "intervention"]
    entered_in_error: bool
    treatment_item_id: UUID | None = None
