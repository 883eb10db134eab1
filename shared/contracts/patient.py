"""What patient publishes and accepts."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.messages import Command, Event, personal
from shared.types import Language

__all__ = [
    "AllergiesUpdated",
    "Allergy",
    "AnamnesisUpdated",
    "CreatePatient",
    "NationalIdCorrected",
    "PatientRegistered",
    "PatientUpdated",
    "RemovePatient",
]


class _Patient(Event):
    key: ClassVar[str] = "patient_id"

    patient_id: UUID


class PatientRegistered(_Patient):
    """The profile exists."""


class PatientUpdated(_Patient):
    """Some fields of the profile changed; ``fields`` names them, nothing more."""

    fields: list[str]


class NationalIdCorrected(_Patient):
    """The national id is now this one (None: there is none): auth keeps it, too, and sees to it
    that no two accounts share one."""

    national_id: str | None = personal()


class AnamnesisUpdated(_Patient):
    """The medical history changed; its text stays in the record."""


class Allergy(BaseModel):
    """What somebody is allergic to: of FHIR R5 AllergyIntolerance what a check of a drug needs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    allergy_id: UUID
    code: str | None = None
    """ATC, of a substance or a group of them."""
    name: str | None = None
    criticality: Literal["low", "high", "unable-to-assess"]
    verification: Literal["unconfirmed", "presumed", "confirmed", "refuted", "entered-in-error"]


class AllergiesUpdated(_Patient):
    """The list of allergies is now this one, as of the record's version in the metadata.

    Nothing else of the record changes in that version. UNKNOWN: nobody has asked; NONE_KNOWN:
    somebody has, and there are none.
    """

    status: Literal["UNKNOWN", "NONE_KNOWN", "LISTED"] = personal()
    allergies: list[Allergy] = personal()


class CreatePatient(Command):
    """Make the profile and, if given, the anamnesis of a person who registers."""

    key: ClassVar[str] = "patient_id"

    patient_id: UUID
    email: str | None = personal(default=None)
    email_version: int = 0
    first_name: str = personal()
    last_name: str = personal()
    national_id: str | None = personal(default=None)
    phone: str | None = personal(default=None)
    birth_date: date | None = personal(default=None)
    language: Language = "en"
    anamnesis: dict[str, str] | None = personal(default=None)
    """Keys allergies, chronic_conditions, medications, notes; encrypted at rest."""


class RemovePatient(Command):
    """Undo ``CreatePatient``."""

    key: ClassVar[str] = "patient_id"

    patient_id: UUID
