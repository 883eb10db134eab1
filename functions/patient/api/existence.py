"""Whether there is such a patient, for services that keep something about patients."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel

from functions.patient.api.base import api
from functions.patient.service.existence import must_exist
from shared.access import services
from shared.errors import NotFound


class Exists(BaseModel):
    """There is this patient."""

    patient_id: UUID


@api.get(
    "/-/exists/{patient_id}",
    access=services("appointment", "dental_records", "treatment", "xray"),
    returns=Exists,
    problems=[NotFound],
)
def exists(patient_id: UUID) -> Exists:
    """Says that there is such a patient, and nothing of them (shared/known_people.py)."""
    must_exist(patient_id)
    return Exists(patient_id=patient_id)
