"""What all routes of dental_records share."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from functions.dental_records.domain.teeth import is_tooth
from shared import audit
from shared.access import GROUP, owner, roles
from shared.errors import Forbidden
from shared.http import Api
from shared.identity import Caller

__all__ = [
    "READERS",
    "WRITERS",
    "EnteredInError",
    "Note",
    "Reason",
    "Tooth",
    "api",
    "may_read",
    "writer",
]

api = Api("dental_records", prefix="/api/dental-records")

WRITERS = roles("DENTIST")
READERS = WRITERS | owner("patient_id") | roles("ADMIN", clinic=GROUP)
"""A chart is health data (GDPR, article 9): it is for the patient and dentists. An ADMIN of the
group reads it for a purpose that they state, and is the only one who may read what a law still
holds of somebody who was erased."""


def _tooth(text: str) -> str:
    if not is_tooth(text):
        raise ValueError("a tooth is 11 to 48, 51 to 85 (ISO 3950), with S when supernumerary")
    return text


Tooth = Annotated[
    str,
    AfterValidator(_tooth),
    Field(max_length=4, description="ISO 3950, and S behind it for the supernumerary one beside"),
]
Note = Annotated[str, Field(min_length=1, max_length=4000)]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]


class EnteredInError(BaseModel):
    """Why a record should never have been made."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


def writer(caller: Caller) -> UUID:
    """The person who writes."""
    if caller.id is None:
        raise AssertionError("only people write in charts")
    return caller.id


def may_read(caller: Caller, patient_id: UUID) -> None:
    """Raises Forbidden for an ADMIN, neither dentist nor the patient, who states no purpose."""
    if not (caller.is_owner(patient_id) or caller.has("DENTIST") or audit.lifted()):
        raise Forbidden("Say what for: X-Purpose-Of-Use.")
