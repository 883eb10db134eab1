"""Who a patient is, for a service that must tell whether something is about them."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from pydantic import BaseModel

from functions.patient.api.base import api
from functions.patient.service import records
from shared.access import services
from shared.errors import NotFound

__all__ = ["Identity"]


class Identity(BaseModel):
    """What identifies a patient."""

    patient_id: UUID
    first_name: str
    last_name: str
    birth_date: date | None
    national_id: str | None


@api.get("/-/identity/{patient_id}", access=services("xray"), returns=Identity, problems=[NotFound])
def identity(patient_id: UUID) -> Identity:
    """Name, birth date and national id, to compare with what an image says; on record as any
    other read of the profile."""
    profile = records.read(patient_id, anamnesis=False).profile
    return Identity(
        patient_id=patient_id,
        first_name=profile.first_name,
        last_name=profile.last_name,
        birth_date=profile.birth_date,
        national_id=profile.national_id,
    )
