"""What can be booked at a clinic: chairs and types of appointments."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from functions.appointment.api.base import CLINIC_DESK, Body, Name, api
from functions.appointment.service import schedule
from functions.appointment.service.schedule import AlreadyThere
from shared.access import anyone
from shared.db import Row
from shared.errors import NotFound, StaleVersion
from shared.http import IfMatch, Reply
from shared.pages import Page, PageQuery

__all__ = ["Chair", "Type"]

_CHAIRS = "/clinics/{clinic_id}/chairs"
_TYPES = "/clinics/{clinic_id}/types"


class ChairIn(Body):
    """A chair of a clinic."""

    name: Name
    active: bool = True


class Chair(ChairIn):
    """A chair with its id."""

    chair_id: UUID
    clinic_id: UUID


class TypeIn(Body):
    """A type of appointment. ``price`` is in the minor unit of ``currency`` (ISO 4217). Patients
    may cancel and move one until ``cutoff_minutes`` before it begins."""

    name: Name
    duration_minutes: int = Field(ge=5, le=1440)
    needs_chair: bool = True
    price: int = Field(ge=0, le=10**12)
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    cutoff_minutes: int = Field(default=1440, ge=0, le=60 * 24 * 365)
    active: bool = True


class Type(TypeIn):
    """A type of appointment with its id."""

    type_id: UUID
    clinic_id: UUID


@api.get(_CHAIRS, access=anyone(), returns=Page[Chair])
def chairs(clinic_id: UUID, query: PageQuery) -> Page[Chair]:
    """The chairs of a clinic, by name."""
    rows = schedule.listing("chairs", clinic_id, query)
    return Page[Chair].of(
        rows, query.limit, lambda row: (row["name"], row["chair_id"]), lambda row: _chair(row).value
    )


@api.post(_CHAIRS, access=CLINIC_DESK, returns=Chair, status=201, problems=[NotFound, AlreadyThere])
def add_chair(clinic_id: UUID, body: ChairIn) -> Reply[Chair]:
    """Add a chair."""
    return _chair(schedule.add("chairs", clinic_id, "chair_id", body.model_dump()), new=True)


@api.get(f"{_CHAIRS}/{{chair_id}}", access=anyone(), returns=Chair, problems=[NotFound])
def show_chair(clinic_id: UUID, chair_id: UUID) -> Reply[Chair]:
    """One chair."""
    return _chair(schedule.show("chairs", clinic_id, chair_id))


@api.put(
    f"{_CHAIRS}/{{chair_id}}",
    access=CLINIC_DESK,
    returns=Chair,
    problems=[NotFound, StaleVersion, AlreadyThere],
)
def change_chair(clinic_id: UUID, chair_id: UUID, body: ChairIn, if_match: IfMatch) -> Reply[Chair]:
    """Replace a chair. What is booked already stays as it is."""
    columns = body.model_dump()
    return _chair(
        schedule.replace("chairs", clinic_id, chair_id, version=if_match, columns=columns)
    )


@api.get(_TYPES, access=anyone(), returns=Page[Type])
def types(clinic_id: UUID, query: PageQuery) -> Page[Type]:
    """The type of appointments of a clinic, by name."""
    rows = schedule.listing("appointment_types", clinic_id, query)
    return Page[Type].of(
        rows, query.limit, lambda row: (row["name"], row["type_id"]), lambda row: _type(row).value
    )


@api.post(_TYPES, access=CLINIC_DESK, returns=Type, status=201, problems=[NotFound, AlreadyThere])
def add_type(clinic_id: UUID, body: TypeIn) -> Reply[Type]:
    """Add a type of appointment."""
    return _type(
        schedule.add("appointment_types", clinic_id, "type_id", body.model_dump()), new=True
    )


@api.get(f"{_TYPES}/{{type_id}}", access=anyone(), returns=Type, problems=[NotFound])
def show_type(clinic_id: UUID, type_id: UUID) -> Reply[Type]:
    """One type of appointment."""
    return _type(schedule.show("appointment_types", clinic_id, type_id))


@api.put(
    f"{_TYPES}/{{type_id}}",
    access=CLINIC_DESK,
    returns=Type,
    problems=[NotFound, StaleVersion, AlreadyThere],
)
def change_type(clinic_id: UUID, type_id: UUID, body: TypeIn, if_match: IfMatch) -> Reply[Type]:
    """Replace a type of appointment. What is booked already stays as it is."""
    columns = body.model_dump()
    return _type(
        schedule.replace("appointment_types", clinic_id, type_id, version=if_match, columns=columns)
    )


def _chair(row: Row, *, new: bool = False) -> Reply[Chair]:
    path = f"{api.prefix}/clinics/{row['clinic_id']}/chairs/{row['chair_id']}"
    fields = {name: row[name] for name in Chair.model_fields}
    return Reply(Chair(**fields), etag=row["version"], location=path if new else None)


def _type(row: Row, *, new: bool = False) -> Reply[Type]:
    path = f"{api.prefix}/clinics/{row['clinic_id']}/types/{row['type_id']}"
    fields = {name: row[name] for name in Type.model_fields}
    return Reply(Type(**fields), etag=row["version"], location=path if new else None)
