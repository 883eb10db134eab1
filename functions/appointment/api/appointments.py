"""Appointments: seen by their patient and the staff of their clinic, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from functions.appointment.api.base import (
    CLINIC_STAFF,
    Appointment,
    Body,
    Note,
    Period,
    answer,
    api,
    periods,
)
from functions.appointment.domain.refusals import NotBookable, SlotNotOffered, SlotTaken
from functions.appointment.domain.states import NotPossible, Status, TooLate, TooSoon
from functions.appointment.domain.visits import Visit
from functions.appointment.service import changing, reading
from functions.appointment.service.changing import Move
from functions.appointment.service.scope import Scope
from functions.appointment.store.appointments import Filter
from shared.access import STAFF, anyone, owner, roles
from shared.errors import Forbidden, NotFound, StaleVersion
from shared.http import IfMatch, Reply
from shared.identity import Caller
from shared.pages import Moment, Page, PageQuery

__all__ = ["Cancellation", "Detail", "Listed", "Moved"]

_STAFF = roles(*STAFF)


class Listed(PageQuery):
    """Which appointments: staff name their clinic, patients themselves. ``day`` is a day at the
    clinic; ``from`` and ``to`` are about the beginning of an appointment."""

    clinic_id: UUID | None = None
    practitioner_id: UUID | None = None
    patient_id: UUID | None = None
    series_id: UUID | None = None
    status: Status | None = None
    day: Annotated[date, Field(ge=date(1900, 1, 1), le=date(9000, 1, 1))] | None = None
    since: Annotated[Moment | None, Field(alias="from")] = None
    until: Annotated[Moment | None, Field(alias="to")] = None


class OneDay(BaseModel):
    """A day at a clinic."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clinic_id: UUID
    day: Annotated[date, Field(ge=date(1900, 1, 1), le=date(9000, 1, 1))]


class Detail(Appointment):
    """An appointment with what was written about it."""

    note: str | None
    cancellation_reason: str | None


class Desk(BaseModel):
    """One practitioner's day: when they work, and their appointments."""

    practitioner_id: UUID
    display_name: str
    work: list[Period]
    appointments: list[Appointment]


class Day(BaseModel):
    """A day at a clinic."""

    clinic_id: UUID
    day: date
    time_zone: str
    practitioners: list[Desk]


class Moved(Body):
    """Where to move an appointment; without ``practitioner_id`` to the same."""

    starts_at: Moment
    practitioner_id: UUID | None = None
    chair_id: UUID | None = None


class Cancellation(Body):
    """Why, if anybody says."""

    reason: Note | None = None


class Cancelled(BaseModel):
    """What was cancelled."""

    items: list[Appointment]


@api.get("", access=CLINIC_STAFF | owner("patient_id"), returns=Page[Appointment])
def listing(query: Listed, caller: Caller) -> Page[Appointment]:
    """Appointments in order of time: of a clinic for its staff, of a patient for themselves."""
    wanted = Filter(**{name: getattr(query, name) for name in Filter.__slots__})
    after = query.after(tuple[datetime, UUID])
    rows = reading.listing(wanted, Scope.of(caller), after, query.limit)
    return Page[Appointment].of(
        rows,
        query.limit,
        lambda row: (row["starts_at"], row["appointment_id"]),
        lambda row: Appointment.of(Visit.of(row)),
    )


@api.get("/day", access=CLINIC_STAFF, returns=Day, problems=[NotFound])
def day(query: OneDay) -> Day:
    """Everybody who works at a clinic, when they work on a day, and with whom."""
    found = reading.day(query.clinic_id, query.day)
    return Day(
        clinic_id=query.clinic_id,
        day=query.day,
        time_zone=found.time_zone,
        practitioners=[
            Desk(
                practitioner_id=desk.practitioner_id,
                display_name=desk.display_name,
                work=periods(desk.work),
                appointments=[Appointment.of(visit) for visit in desk.visits],
            )
            for desk in found.desks
        ],
    )


@api.get("/{appointment_id}", access=anyone(), returns=Detail, problems=[NotFound])
def show(appointment_id: UUID, caller: Caller) -> Reply[Detail]:
    """One appointment, for its patient and the staff of its clinic; to others there is none."""
    visit, note, reason = reading.show(appointment_id, Scope.of(caller))
    fields = Appointment.of(visit).model_dump()
    return Reply(Detail(**fields, note=note, cancellation_reason=reason), etag=visit.version)


@api.post(
    "/{appointment_id}/reschedule",
    access=anyone(),
    returns=Appointment,
    problems=[NotFound, StaleVersion, NotPossible, TooLate, SlotTaken, SlotNotOffered, NotBookable],
)
def reschedule(
    appointment_id: UUID, body: Moved, if_match: IfMatch, caller: Caller
) -> Reply[Appointment]:
    """Move an appointment: it keeps its time until it has the new one, in one transaction.

    Staff at any time, patients until the cut-off of its type. Of two changes of one version one is
    made, the other is answered 412.
    """
    to = Move(body.starts_at, body.practitioner_id, body.chair_id)
    return answer(changing.reschedule(appointment_id, if_match, to, Scope.of(caller)))


@api.post(
    "/{appointment_id}/cancel",
    access=anyone(),
    returns=Appointment,
    problems=[NotFound, StaleVersion, NotPossible, TooLate],
)
def cancel(
    appointment_id: UUID, body: Cancellation, if_match: IfMatch, caller: Caller
) -> Reply[Appointment]:
    """Cancel: staff at any time, patients until the cut-off of the appointment's type."""
    return answer(changing.cancel(appointment_id, if_match, Scope.of(caller), body.reason))


@api.post(
    "/series/{series_id}/cancel", access=_STAFF, returns=Cancelled, problems=[NotFound, Forbidden]
)
def cancel_series(series_id: UUID, body: Cancellation, caller: Caller) -> Cancelled:
    """Cancel what is still to come of a series."""
    visits = changing.cancel_series(series_id, Scope.of(caller), body.reason)
    return Cancelled(items=[Appointment.of(visit) for visit in visits])


def _step(name: str, step: Callable[[UUID, int, Scope], Visit], summary: str) -> None:
    def handler(appointment_id: UUID, if_match: IfMatch, caller: Caller) -> Reply[Appointment]:
        return answer(step(appointment_id, if_match, Scope.of(caller)))

    handler.__doc__ = summary
    problems = [NotFound, Forbidden, StaleVersion, NotPossible, TooSoon]
    api.post(f"/{{appointment_id}}/{name}", access=_STAFF, returns=Appointment, problems=problems)(
        handler
    )


_step("check-in", changing.check_in, "The patient is there, on the day of the appointment.")
_step("complete", changing.complete, "The visit is over.")
_step("missed", changing.miss, "The patient has not come; only after the appointment has begun.")
