"""The clinics of the group."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from functions.auth.api.base import GROUP_ADMINS, Body, api
from functions.auth.service import clinics
from functions.auth.store import clinics as clinic_store
from shared.access import anyone, services
from shared.db import Row
from shared.errors import Conflict, NotFound
from shared.http import IfMatch, Reply
from shared.pages import Page, PageQuery
from shared.runtime import database
from shared.types import (
    Language,
    TimeZoneName,
)


class ClinicIn(Body):
    """A clinic of the group."""

    name: str = Field(min_length=1, max_length=200)
    address: str = Field(min_length=1, max_length=500)
    time_zone: TimeZoneName
    languages: list[Language] = Field(min_length=1, max_length=3)


class Clinic(ClinicIn):
    """A clinic with its id."""

    id: UUID

    @classmethod
    def of(cls, row: Row, location: str | None = None) -> Reply[Clinic]:
        """The clinic with its version as ETag."""
        shown = {name: value for name, value in row.items() if name != "version"}
        return Reply(cls.model_validate(shown), etag=row["version"], location=location)


@api.post("/clinics", access=GROUP_ADMINS, returns=Clinic, status=201, problems=[Conflict])
def create_clinic(body: ClinicIn) -> Reply[Clinic]:
    """Add a clinic to the group."""
    row = clinics.create(
        name=body.name, address=body.address, zone=body.time_zone, langs=list(body.languages)
    )
    return Clinic.of(row, location=f"{api.prefix}/clinics/{row['id']}")


@api.get("/clinics", access=anyone(), returns=Page[Clinic])
def list_clinics(query: PageQuery) -> Page[Clinic]:
    """The clinics of the group, by name."""
    after = query.after(tuple[str, UUID])
    rows = clinic_store.listing(database("auth"), after, query.limit + 1)
    return Page.of(
        rows, query.limit, lambda row: (row["name"], row["id"]), lambda row: Clinic.of(row).value
    )


@api.get(
    "/clinics/{clinic_id}",
    access=anyone() | services("appointment", "notification"),
    returns=Clinic,
    problems=[NotFound],
)
def show_clinic(clinic_id: UUID) -> Reply[Clinic]:
    """One clinic."""
    return Clinic.of(clinics.get(clinic_id))


@api.put("/clinics/{clinic_id}", access=GROUP_ADMINS, returns=Clinic, problems=[NotFound, Conflict])
def update_clinic(clinic_id: UUID, body: ClinicIn, if_match: IfMatch) -> Reply[Clinic]:
    """Replace a clinic's data."""
    row = clinics.update(
        clinic_id,
        if_match,
        name=body.name,
        address=body.address,
        zone=body.time_zone,
        langs=list(body.languages),
    )
    return Clinic.of(row)
