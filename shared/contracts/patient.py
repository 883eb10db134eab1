"""What patient publishes and accepts."""

from __future__ import annotations

from datetime import date
from typing import ClassVar
from uuid import UUID

from shared.messages import Command, Event, personal
from shared.types import Language

__all__ = [
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
