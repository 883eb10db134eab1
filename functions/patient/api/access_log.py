"""Who looked at a record, or changed it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from functions.patient.api.base import OVERSIGHT, api
from functions.patient.service import records
from shared.db import Row
from shared.pages import Page, PageQuery


class Actor(BaseModel):
    """Whoever it was: a person, a service (``id``: for whom it called), or nobody identified."""

    kind: Literal["person", "service", "anonymous"]
    id: UUID | None
    roles: list[str]
    self: bool
    service: str | None


class Access(BaseModel):
    """One access to somebody's data; ``purpose`` is of HL7 v3 PurposeOfUse."""

    at: datetime
    action: str
    what: str
    purpose: str
    actor: Actor


@api.get(
    "/{patient_id}/access-log",
    access=OVERSIGHT,
    returns=Page[Access],
)
def show_access_log(patient_id: UUID, query: PageQuery) -> Page[Access]:
    """Who read or wrote what of the record, when and what for, newest first; also of somebody
    who was erased."""
    return records.accesses(patient_id, query).map(lambda row: _access(row, patient_id))


def _access(row: Row, patient_id: UUID) -> Access:
    service, person = row["service"], row["actor"]
    kind: Literal["person", "service", "anonymous"] = "anonymous"
    if service is not None or person is not None:
        kind = "person" if service is None else "service"
    actor = Actor(
        kind=kind, id=person, roles=row["roles"], self=person == patient_id, service=service
    )
    return Access(
        at=row["at"], action=row["action"], what=row["what"], purpose=row["purpose"], actor=actor
    )
