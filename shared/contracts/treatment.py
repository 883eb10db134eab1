"""What treatment publishes."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.messages import Event

__all__ = ["PrescriptionIssued", "TreatmentAccepted", "TreatmentCompleted", "TreatmentPlanned"]


class _Treatment(Event):
    """One plan, as of the version in the metadata."""

    key: ClassVar[str] = "treatment_id"

    treatment_id: UUID
    patient_id: UUID
    clinic_id: UUID


class TreatmentPlanned(_Treatment):
    """A plan, or a new version of it, waits for the patient's consent."""

    notify: ClassVar[bool] = True

    plan_version: int


class TreatmentAccepted(_Treatment):
    """The patient consents to this version of the plan."""

    plan_version: int


class TreatmentCompleted(_Treatment):
    """Every item of the plan is done."""


class PrescriptionIssued(Event):
    """A prescription is the patient's to fill."""

    key: ClassVar[str] = "prescription_id"
    notify: ClassVar[bool] = True

    prescription_id: UUID
    patient_id: UUID
    clinic_id: UUID
