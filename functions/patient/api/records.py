"""Finding, reading and changing patients.

The record is shared by the group, so staff of any clinic may read a profile. The anamnesis
concerns health (GDPR, article 9): only the patient and dentists see or change it.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from functions.patient import domain
from functions.patient.api.base import api
from functions.patient.domain import NationalIdTaken, Record, Text
from functions.patient.service import records, search
from shared.access import owner, roles
from shared.errors import Forbidden, Invalid, NotFound, StaleVersion
from shared.http import IfMatch, Reply
from shared.identity import Caller
from shared.national_ids import NationalId
from shared.pages import Page
from shared.types import BirthDate, Email, Language, PersonName, Phone

__all__ = ["Anamnesis", "Patient"]

_STAFF = roles("RECEPTIONIST", "DENTIST", "ADMIN")


class Anamnesis(BaseModel):
    """The medical history as told; null where nothing was said."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    allergies: Text | None = None
    chronic_conditions: Text | None = None
    medications: Text | None = None
    notes: Text | None = None


class Patient(BaseModel):
    """A patient; ``anamnesis`` is null for those who may not see it."""

    patient_id: UUID
    email: str | None
    first_name: str
    last_name: str
    national_id: str | None
    phone: str | None
    birth_date: date | None
    language: Language
    anamnesis: Anamnesis | None

    @classmethod
    def of(cls, record: Record) -> Self:
        """The representation of ``record``."""
        profile, told = record.profile, record.anamnesis
        return cls(
            patient_id=record.patient_id,
            email=record.email,
            first_name=profile.first_name,
            last_name=profile.last_name,
            national_id=profile.national_id,
            phone=profile.phone,
            birth_date=profile.birth_date,
            language=profile.language,
            anamnesis=None if told is None else Anamnesis.model_validate(told),
        )


class ChangePatient(BaseModel):
    """The fields to change (RFC 7396): null clears one, absent ones stay.

    The e-mail address is not among them: the account's owner changes it in auth.
    """

    model_config = ConfigDict(extra="forbid")

    # Whoever may be without a value takes null; the defaults of the others are never looked at.
    first_name: PersonName = Field(default_factory=str)
    last_name: PersonName = Field(default_factory=str)
    language: Language = Field(default_factory=lambda: "en")
    national_id: NationalId | None = None
    phone: Phone | None = None
    birth_date: BirthDate | None = None


class Search(BaseModel):
    """What to search for: all that is given must apply, and something must be given."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(max_length=200)] | None = None
    national_id: NationalId | None = None
    email: Email | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, Field(max_length=4000)] | None = None


class Found(BaseModel):
    """As much of a patient as it takes to tell namesakes apart."""

    model_config = ConfigDict(from_attributes=True)

    patient_id: UUID
    first_name: str
    last_name: str
    birth_date: date | None


@api.post("/search", access=_STAFF, returns=Page[Found], problems=[Invalid])
def find(body: Search) -> Page[Found]:
    """Find patients by name (each word of the query begins a word of the name, accents and case
    aside), national id or e-mail address."""
    page = search.find(
        query=body.query,
        email=body.email,
        national_id=None if body.national_id is None else body.national_id.value,
        limit=body.limit,
        cursor=body.cursor,
    )
    return page.map(Found.model_validate)


@api.get("/{patient_id}", access=_STAFF | owner("patient_id"), returns=Patient, problems=[NotFound])
def show(patient_id: UUID, caller: Caller) -> Reply[Patient]:
    """One patient; with the anamnesis for the patient and dentists."""
    return _reply(records.read(patient_id, anamnesis=_may_know(caller, patient_id)))


@api.patch(
    "/{patient_id}",
    access=_STAFF | owner("patient_id"),
    returns=Patient,
    problems=[NotFound, StaleVersion, NationalIdTaken],
)
def change(
    patient_id: UUID, body: ChangePatient, if_match: IfMatch, caller: Caller
) -> Reply[Patient]:
    """Change fields of the profile. A national id is corrected at reception, with the document
    at hand: by a RECEPTIONIST or ADMIN only."""
    wanted = {name: getattr(body, name) for name in body.model_fields_set}
    if "national_id" in wanted:
        if caller.roles.isdisjoint(("RECEPTIONIST", "ADMIN")):
            raise Forbidden("A national id is corrected at reception.")
        if body.national_id is not None:
            wanted["national_id"] = body.national_id.value
    may_know = _may_know(caller, patient_id)
    return _reply(records.change(patient_id, if_match, wanted, anamnesis=may_know))


@api.get(
    "/{patient_id}/anamnesis",
    access=roles("DENTIST") | owner("patient_id"),
    returns=Anamnesis,
    problems=[NotFound],
)
def show_anamnesis(patient_id: UUID) -> Reply[Anamnesis]:
    """The medical history as told."""
    return _anamnesis(records.read_anamnesis(patient_id))


@api.put(
    "/{patient_id}/anamnesis",
    access=roles("DENTIST") | owner("patient_id"),
    returns=Anamnesis,
    problems=[NotFound, StaleVersion],
)
def replace_anamnesis(patient_id: UUID, body: Anamnesis, if_match: IfMatch) -> Reply[Anamnesis]:
    """Replace the whole medical history: a field that is not sent is empty afterwards."""
    told = domain.Anamnesis(
        allergies=body.allergies,
        chronic_conditions=body.chronic_conditions,
        medications=body.medications,
        notes=body.notes,
    )
    return _anamnesis(records.write_anamnesis(patient_id, if_match, told))


def _may_know(caller: Caller, patient_id: UUID) -> bool:
    """Health data is for the person and whoever treats."""
    return caller.is_owner(patient_id) or caller.has("DENTIST")


def _reply(record: Record) -> Reply[Patient]:
    return Reply(Patient.of(record), etag=record.version)


def _anamnesis(record: Record) -> Reply[Anamnesis]:
    return Reply(Anamnesis.model_validate(record.anamnesis), etag=record.version)
