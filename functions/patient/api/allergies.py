"""What a patient is allergic to, in the shape of FHIR R5 AllergyIntolerance, coded by ATC.

It concerns health (GDPR, article 9): the patient and dentists see and change it, and treatment
reads it before a prescription.
"""

from __future__ import annotations

from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from functions.patient import domain
from functions.patient.api.base import api
from functions.patient.domain import AllergyList, Criticality, ListStatus, Verification
from functions.patient.service import allergies
from shared.access import owner, roles, services
from shared.errors import Forbidden, NotFound, StaleVersion
from shared.http import IfMatch, Reply
from shared.identity import Caller
from shared.types import AtcCode, uuid7

__all__ = ["Allergies"]

_Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class _Listed(BaseModel):
    """A substance or a group of substances, by ATC code, by name, or both."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    code: AtcCode | None = None
    """ATC; ``J01C`` lists all penicillins."""
    name: _Words | None = None
    criticality: Criticality = "unable-to-assess"
    verification: Verification = "unconfirmed"
    reaction: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] | None = (
        None
    )


class Allergy(_Listed):
    """One line of the list."""

    allergy_id: UUID


class NewAllergy(_Listed):
    """One line of the list; without ``allergy_id`` a new one."""

    allergy_id: UUID | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if self.code is None and self.name is None:
            raise ValueError("an allergy has a code or a name")
        return self


class Allergies(BaseModel):
    """UNKNOWN: nobody has asked; NONE_KNOWN: there are none; LISTED: these."""

    model_config = ConfigDict(from_attributes=True)

    status: ListStatus
    allergies: list[Allergy]


class ReplaceAllergies(BaseModel):
    """The whole list as it is from now on."""

    model_config = ConfigDict(extra="forbid")

    status: ListStatus
    allergies: Annotated[list[NewAllergy], Field(max_length=100)] = []

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.status == "LISTED") != bool(self.allergies):
            raise ValueError("LISTED, and nothing else, comes with allergies")
        ids = [one.allergy_id for one in self.allergies if one.allergy_id is not None]
        if len(set(ids)) != len(ids):
            raise ValueError("an allergy_id stands twice in the list")
        return self


class AllergiesNow(Allergies):
    """The list as of the record's ``version``, for a service that decides by it."""

    patient_id: UUID
    version: int


@api.get(
    "/{patient_id}/allergies",
    access=roles("DENTIST") | owner("patient_id"),
    returns=Allergies,
    problems=[NotFound],
)
def show_allergies(patient_id: UUID) -> Reply[Allergies]:
    """What the patient is allergic to, as far as it is known."""
    listed, version = allergies.read(patient_id)
    return Reply(Allergies.model_validate(listed), etag=version)


@api.put(
    "/{patient_id}/allergies",
    access=roles("DENTIST") | owner("patient_id"),
    returns=Allergies,
    problems=[NotFound, StaleVersion, Forbidden],
)
def replace_allergies(
    patient_id: UUID, body: ReplaceAllergies, if_match: IfMatch, caller: Caller
) -> Reply[Allergies]:
    """Replace the whole list; of several who change one version of the record one succeeds. The
    patient adds to what a dentist has established, and takes nothing from it."""
    listed = AllergyList(
        body.status,
        [
            domain.Allergy(
                allergy_id=one.allergy_id or uuid7(),
                code=one.code,
                name=one.name,
                criticality=one.criticality,
                verification=one.verification,
                reaction=one.reaction,
            )
            for one in body.allergies
        ],
    )
    version = allergies.write(patient_id, if_match, listed, dentist=caller.has("DENTIST"))
    return Reply(Allergies.model_validate(listed), etag=version)


@api.get(
    "/-/allergies/{patient_id}",
    access=services("treatment"),
    returns=AllergiesNow,
    problems=[NotFound],
)
def show_allergies_to_services(patient_id: UUID) -> AllergiesNow:
    """The list as it is at this moment, for a check of a prescription."""
    listed, version = allergies.read(patient_id)
    shown = Allergies.model_validate(listed)
    return AllergiesNow(
        patient_id=patient_id, version=version, status=shown.status, allergies=shown.allergies
    )
