"""Finding a slot and booking it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from functions.appointment.api.base import (
    Appointment,
    Body,
    Note,
    Period,
    answer,
    api,
    periods,
)
from functions.appointment.domain.refusals import (
    NotBookable,
    SeriesConflict,
    SlotNotOffered,
    SlotTaken,
)
from functions.appointment.domain.series import LONGEST, Frequency
from functions.appointment.domain.slots import Reason
from functions.appointment.service import booking, finding, series
from functions.appointment.service.booking import Order
from functions.appointment.service.scope import Scope
from shared.access import STAFF, anyone, owner, roles
from shared.errors import Forbidden, Invalid, NotFound
from shared.http import Reply
from shared.identity import Caller
from shared.pages import Moment

__all__ = ["Booking", "Series", "Slots"]

_STAFF = roles(*STAFF)


class Wanted(BaseModel):
    """Whose slots, for what, and between which moments: 31 days at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    practitioner_id: UUID
    type_id: UUID
    since: Annotated[Moment, Field(alias="from")]
    until: Annotated[Moment, Field(alias="to")]


class Slots(BaseModel):
    """Slots that can be booked, in order; ``time_zone`` is the clinic's (IANA)."""

    time_zone: str
    items: list[Period]


class Booking(Body):
    """What to book. Without ``chair_id`` a free chair is found where the type needs one."""

    patient_id: UUID
    practitioner_id: UUID
    type_id: UUID
    starts_at: Moment
    chair_id: UUID | None = None
    note: Note | None = None

    def order(self) -> Order:
        """As the use cases take it."""
        return Order(
            patient_id=self.patient_id,
            practitioner_id=self.practitioner_id,
            type_id=self.type_id,
            starts_at=self.starts_at,
            chair_id=self.chair_id,
            note=self.note,
        )


class Series(Booking):
    """What to book again and again, at the same time on the clinic's wall (RFC 5545, FREQ=WEEKLY or
    MONTHLY): ``count`` times or ``until`` a day; a month without such a day is left out."""

    frequency: Frequency
    interval: int = Field(default=1, ge=1, le=12)
    count: int | None = Field(default=None, ge=1, le=LONGEST)
    until: date | None = None
    conflicts: Literal["REFUSE_ALL", "SKIP"] = "REFUSE_ALL"
    dry_run: bool = False

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if (self.count is None) == (self.until is None):
            raise ValueError("either count or until says where the series ends")
        return self


class Conflict(BaseModel):
    """One that is not possible, and why."""

    starts_at: datetime
    reason: Reason


class SeriesBooked(BaseModel):
    """What became of a series; a dry run has no ``series_id`` and nothing ``booked``."""

    series_id: UUID | None
    time_zone: str
    possible: list[Period]
    booked: list[Appointment]
    conflicts: list[Conflict]


@api.get("/slots", access=anyone(), returns=Slots, problems=[NotFound, Invalid])
def free_slots(query: Wanted, caller: Caller) -> Slots:
    """Free slots of a practitioner for a type of appointment, at which the caller has no other
    appointment. What is free may be taken a moment later."""
    zone, spans = finding.free_slots(
        query.practitioner_id, query.type_id, query.since, query.until, caller.id
    )
    return Slots(time_zone=zone.key, items=periods(spans))


@api.post(
    "",
    access=_STAFF | owner("patient_id"),
    returns=Appointment,
    status=201,
    problems=[NotFound, Forbidden, SlotTaken, SlotNotOffered, NotBookable],
)
def book(body: Booking, caller: Caller) -> Reply[Appointment]:
    """Book an appointment: staff of the type's clinic, or patients for themselves.

    Of all who want the same time of a practitioner, patient or chair exactly one gets it. Everybody
    else is answered 409 with ``reason`` and, as ``next``, three free slots. Patients book slots as
    they are offered, staff at any time within the hours.
    """
    return answer(booking.book(body.order(), Scope.of(caller)), new=True)


@api.post(
    "/series",
    access=_STAFF,
    returns=SeriesBooked,
    status=201,
    problems=[NotFound, Forbidden, NotBookable, SlotNotOffered, SeriesConflict],
)
def book_series(body: Series, caller: Caller) -> Reply[SeriesBooked]:
    """Book a series in one transaction: all of it, or with ``conflicts`` SKIP what is possible.

    ``dry_run`` books nothing and answers 200 with what would be possible now.
    """
    rule = series.Rule(body.frequency, body.interval, body.count, body.until)
    skip = body.conflicts == "SKIP"
    found = series.book(body.order(), rule, Scope.of(caller), skip=skip, dry_run=body.dry_run)
    shown = SeriesBooked(
        series_id=found.series_id,
        time_zone=found.time_zone,
        possible=periods(found.possible),
        booked=[Appointment.of(visit) for visit in found.booked],
        conflicts=[Conflict(starts_at=at, reason=why) for at, why in found.conflicts],
    )
    return Reply(shown, status=200 if body.dry_run else 201)
