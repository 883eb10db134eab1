"""How a clinic wants its offers and reminders."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from functions.appointment.api.base import CLINIC_STAFF, Body, api
from functions.appointment.service import settings
from shared.access import roles
from shared.errors import NotFound, StaleVersion
from shared.http import IfMatch, Reply

__all__ = ["Settings"]


class Change(Body):
    """``offer_minutes``: how long an offer of the waitlist is held. ``reminder_hours``: how long
    before an appointment its patient is reminded; none for no reminders."""

    offer_minutes: Annotated[int, Field(ge=5, le=1440)]
    reminder_hours: Annotated[list[Annotated[int, Field(ge=1, le=720)]], Field(max_length=5)]


class Settings(BaseModel):
    """What the clinic has chosen, or the defaults (version 0)."""

    model_config = ConfigDict(from_attributes=True)

    version: int
    offer_minutes: int
    reminder_hours: list[int]


@api.get(
    "/clinics/{clinic_id}/settings", access=CLINIC_STAFF, returns=Settings, problems=[NotFound]
)
def show(clinic_id: UUID) -> Reply[Settings]:
    """The clinic's settings; the ETag is 0 before the first change."""
    found = settings.show(clinic_id)
    return Reply(Settings.model_validate(found), etag=found.version)


@api.put(
    "/clinics/{clinic_id}/settings",
    access=roles("ADMIN", clinic="clinic_id"),
    returns=Settings,
    problems=[NotFound, StaleVersion],
)
def change(clinic_id: UUID, body: Change, if_match: IfMatch) -> Reply[Settings]:
    """Replace them; they apply to offers and reminders from now on."""
    found = settings.change(
        clinic_id,
        if_match,
        offer_minutes=body.offer_minutes,
        reminder_hours=body.reminder_hours,
    )
    return Reply(Settings.model_validate(found), etag=found.version)
