"""Asking reception for an appointment."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel

from functions.appointment.api.base import (
    CLINIC_DESK,
    CLINIC_STAFF,
    DESK,
    Appointment,
    Body,
    Note,
    Period,
    answer,
    api,
    periods,
)
from functions.appointment.api.wanted import Asked, AskedQuery
from functions.appointment.domain.refusals import NotBookable, SlotNotOffered, SlotTaken
from functions.appointment.service import requests
from functions.appointment.service.requests import RequestDecided, RequestStatus
from functions.appointment.service.scope import Scope
from functions.appointment.store.asked import Filter
from shared.access import anyone, owner, roles
from shared.errors import BadRequest, Forbidden, NotFound, StaleVersion
from shared.http import IfMatch, Reply
from shared.identity import Caller
from shared.pages import Moment, Page
from shared.privacy import PersonErased

__all__ = ["Request"]


class Ask(Asked):
    """What the patient would like; ``note`` is for reception."""

    note: Note | None = None


class Request(BaseModel):
    """What a patient asked for; ``reason`` says why it was declined."""

    request_id: UUID
    version: int
    patient_id: UUID
    clinic_id: UUID
    type_id: UUID
    practitioner_id: UUID | None
    windows: list[Period]
    note: str | None
    status: RequestStatus
    reason: str | None
    appointment_id: UUID | None
    made_at: datetime
    decided_at: datetime | None

    @classmethod
    def of(cls, found: requests.Request) -> Self:
        """The representation of ``found``."""
        plain = {name: getattr(found, name) for name in found.__slots__ if name != "windows"}
        return cls(**plain, windows=periods(found.windows))


class RequestQuery(AskedQuery):
    """Which requests: staff name their clinic, patients themselves."""

    status: RequestStatus | None = None


class Accept(Body):
    """What reception books: the patient and the type are those of the request."""

    practitioner_id: UUID
    starts_at: Moment
    chair_id: UUID | None = None
    note: Note | None = None


class Decline(Body):
    """Why not; the patient reads it."""

    reason: Note


@api.post(
    "/requests",
    access=CLINIC_DESK | owner("patient_id"),
    returns=Request,
    status=201,
    problems=[NotFound, NotBookable, PersonErased],
)
def ask(body: Ask) -> Reply[Request]:
    """Ask reception for an appointment in one of several windows."""
    return _answer(requests.ask(body.wanted(), body.note), new=True)


@api.get(
    "/requests",
    access=CLINIC_STAFF | owner("patient_id"),
    returns=Page[Request],
    problems=[BadRequest],
)
def listing(query: RequestQuery) -> Page[Request]:
    """Requests in the order in which they were made."""
    wanted = Filter(query.clinic_id, query.patient_id, query.status)
    return requests.listing(query, wanted).map(Request.of)


@api.get("/requests/{request_id}", access=anyone(), returns=Request, problems=[NotFound])
def show(request_id: UUID, caller: Caller) -> Reply[Request]:
    """One request, for its patient and the staff of its clinic; to others there is none."""
    return _answer(requests.show(request_id, Scope.of(caller)))


@api.post(
    "/requests/{request_id}/accept",
    access=roles(*DESK),
    returns=Appointment,
    status=201,
    problems=[
        NotFound,
        Forbidden,
        StaleVersion,
        RequestDecided,
        SlotTaken,
        SlotNotOffered,
        NotBookable,
        PersonErased,
    ],
)
def accept(request_id: UUID, body: Accept, if_match: IfMatch, caller: Caller) -> Reply[Appointment]:
    """Book for the patient and answer the request, both or neither; the ETag is the request's.

    Of two who answer at once one does, the other is told 409 RequestDecided.
    """
    order = requests.Accept(body.practitioner_id, body.starts_at, body.chair_id, body.note)
    return answer(requests.accept(request_id, if_match, order, Scope.of(caller, *DESK)), new=True)


@api.post(
    "/requests/{request_id}/decline",
    access=roles(*DESK),
    returns=Request,
    problems=[NotFound, Forbidden, StaleVersion, RequestDecided, PersonErased],
)
def decline(request_id: UUID, body: Decline, if_match: IfMatch, caller: Caller) -> Reply[Request]:
    """Tell the patient why it is not possible."""
    scope = Scope.of(caller, *DESK)
    return _answer(requests.decline(request_id, if_match, body.reason, scope))


@api.post(
    "/requests/{request_id}/withdraw",
    access=anyone(),
    returns=Request,
    problems=[NotFound, StaleVersion, RequestDecided, PersonErased],
)
def withdraw(request_id: UUID, if_match: IfMatch, caller: Caller) -> Reply[Request]:
    """Take an open request back; its patient or reception."""
    scope = Scope.of(caller, *DESK)
    return _answer(requests.withdraw(request_id, if_match, scope))


def _answer(found: requests.Request, *, new: bool = False) -> Reply[Request]:
    location = f"{api.prefix}/requests/{found.request_id}" if new else None
    return Reply(Request.of(found), etag=found.version, location=location)
