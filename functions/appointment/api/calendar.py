"""Appointments in people's own calendars."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from functions.appointment.api.base import api
from functions.appointment.service import feeds, icalendar, reading
from functions.appointment.service.icalendar import MEDIA
from functions.appointment.service.scope import Scope
from shared.access import anyone, public
from shared.errors import NotFound, Unauthenticated
from shared.http import Reply
from shared.identity import Caller
from shared.privacy import PersonErased

__all__ = ["Address"]


class Address(BaseModel):
    """Where the calendar is, told once."""

    url: str


class Since(BaseModel):
    """Since when there is an address."""

    made_at: datetime


@api.get(
    "/{appointment_id}/invite.ics", access=anyone(), returns=bytes, media=MEDIA, problems=[NotFound]
)
def invite(appointment_id: UUID, caller: Caller) -> Reply[bytes]:
    """The appointment as an iCalendar object (RFC 5545, 5546), to be put into a calendar.

    METHOD is REQUEST, or CANCEL once the appointment is cancelled. It says neither whom nor what
    it is about.
    """
    visit = reading.show(appointment_id, Scope.of(caller))[0]
    method: icalendar.Method = "CANCEL" if visit.status == "CANCELLED" else "REQUEST"
    headers = {
        "Content-Type": f"{MEDIA}; method={method}",
        "Content-Disposition": 'attachment; filename="invite.ics"',
    }
    text = icalendar.invitation(visit, method).encode()
    return Reply(text, etag=visit.version, headers=headers)


@api.post("/calendar", access=anyone(), returns=Address, status=201, problems=[PersonErased])
def begin(caller: Caller) -> Address:
    """A secret address at which calendar programs follow the caller's appointments, without
    log-in. It replaces the one before, and is not told again."""
    return Address(url=feeds.begin(_person(caller)))


@api.get("/calendar", access=anyone(), returns=Since, problems=[NotFound])
def show(caller: Caller) -> Since:
    """Whether the caller has such an address, and since when."""
    return Since(made_at=feeds.since(_person(caller)))


@api.delete("/calendar", access=anyone())
def end(caller: Caller) -> None:
    """Revoke the address; again, nothing changes."""
    feeds.end(_person(caller))


@api.get(
    "/calendar/{token}/appointments.ics",
    access=public(),
    returns=bytes,
    media=MEDIA,
    problems=[NotFound],
)
def read(token: str) -> Reply[bytes]:
    """The calendar of whoever was given this address: the last 90 days and all that is to come.

    What is cancelled stays in it as STATUS:CANCELLED. The ETag changes with the content.
    """
    text, number = feeds.read(token)
    # A calendar asks every few minutes: it may keep what it has, but nobody between may.
    headers = {"Cache-Control": "private, max-age=300"}
    return Reply(text, etag=number, headers=headers)


def _person(caller: Caller) -> UUID:
    if caller.id is None:
        raise Unauthenticated
    return caller.id
