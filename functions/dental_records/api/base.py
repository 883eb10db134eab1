"""What all routes of dental_records share."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from shared import audit
from shared.access import GROUP, owner, roles
from shared.errors import Forbidden
from shared.http import Api
from shared.identity import Caller
from shared.teeth import Surface, Tooth, checked_surfaces

__all__ = [
    "READERS",
    "WRITERS",
    "EnteredInError",
    "Note",
    "OnTooth",
    "Reason",
    "api",
    "may_read",
]

api = Api("dental_records", prefix="/api/dental-records")

WRITERS = roles("DENTIST")
READERS = WRITERS | owner("patient_id") | roles("ADMIN", clinic=GROUP)
"""A chart is health data (GDPR, article 9): it is for the patient and dentists. An ADMIN of the
group reads it for a purpose that they state, and is the only one who may read what a law still
holds of somebody who was erased."""


Note = Annotated[str, Field(min_length=1, max_length=4000)]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]


class OnTooth(BaseModel):
    """A tooth and surfaces that it has (shared.teeth)."""

    model_config = ConfigDict(extra="forbid")

    tooth: Tooth
    surfaces: Annotated[list[Surface], Field(max_length=5)] = Field(default_factory=list)
    """None: the tooth as a whole. Of M, D, O or I, B or V, P or L those that the tooth has."""

    @field_validator("surfaces")
    @classmethod
    def _of_the_tooth(cls, given: list[Surface], info: ValidationInfo) -> list[Surface]:
        tooth = info.data.get("tooth")
        return given if tooth is None else list(checked_surfaces(tooth, given))


class EnteredInError(BaseModel):
    """Why a record should never have been made."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


def may_read(caller: Caller, patient_id: UUID) -> None:
    """Raises Forbidden for an ADMIN, neither dentist nor the patient, who states no purpose."""
    if not (caller.is_owner(patient_id) or caller.has("DENTIST") or audit.lifted()):
        raise Forbidden("Say what for: X-Purpose-Of-Use.")
