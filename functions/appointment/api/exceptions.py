"""What differs from the weekly hours: holidays, leave, extra hours."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, NaiveDatetime, model_validator

from functions.appointment.api.base import CLINIC_DESK, CLINIC_STAFF, Body, api
from functions.appointment.domain.hours import ExceptionKind
from functions.appointment.service import schedule
from shared.db import Row
from shared.errors import NotFound
from shared.http import Reply
from shared.pages import Page, PageQuery
from shared.privacy import PersonErased

__all__ = ["ScheduleException"]

_PATH = "/clinics/{clinic_id}/exceptions"
_Day = Annotated[date, Field(ge=date(1900, 1, 1), le=date(9000, 1, 1))]


class ScheduleExceptionIn(Body):
    """What differs from the weekly hours between two local times of the clinic: a HOLIDAY of all
    practitioners, or LEAVE or EXTRA_HOURS of one. Extra hours count on a holiday, too; leave takes
    away both."""

    kind: ExceptionKind
    practitioner_id: UUID | None = None
    starts: NaiveDatetime
    ends: NaiveDatetime

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.kind == "HOLIDAY") != (self.practitioner_id is None):
            raise ValueError("a holiday is for all, leave and extra hours for one practitioner")
        if not timedelta() < self.ends - self.starts <= timedelta(days=731):
            raise ValueError("it ends after it begins, within two years")
        return self


class ScheduleException(ScheduleExceptionIn):
    """An exception with its id."""

    exception_id: UUID
    clinic_id: UUID


class Exceptions(PageQuery):
    """Which exceptions: those that concern the local days ``from`` to ``to`` (and a
    practitioner)."""

    practitioner_id: UUID | None = None
    since: Annotated[_Day, Field(alias="from")]
    until: Annotated[_Day, Field(alias="to")]


@api.get(_PATH, access=CLINIC_STAFF, returns=Page[ScheduleException])
def exceptions(clinic_id: UUID, query: Exceptions) -> Page[ScheduleException]:
    """What differs from the weekly hours on some days, in order."""
    rows = schedule.exceptions(
        clinic_id,
        query.practitioner_id,
        datetime.combine(query.since, datetime.min.time()),
        datetime.combine(query.until + timedelta(days=1), datetime.min.time()),
        query,
    )
    return Page[ScheduleException].of(
        rows, query.limit, lambda row: (row["starts"], row["exception_id"]), _exception
    )


@api.post(
    _PATH,
    access=CLINIC_DESK,
    returns=ScheduleException,
    status=201,
    problems=[NotFound, PersonErased],
)
def add_exception(clinic_id: UUID, body: ScheduleExceptionIn) -> Reply[ScheduleException]:
    """Add a holiday, leave or extra hours. What is booked already stays as it is: reception finds
    it in the list and moves it."""
    exception_id = schedule.add_exception(
        clinic_id, body.practitioner_id, body.kind, body.starts, body.ends
    )
    made = ScheduleException(exception_id=exception_id, clinic_id=clinic_id, **body.model_dump())
    return Reply(made)


@api.delete(f"{_PATH}/{{exception_id}}", access=CLINIC_DESK, problems=[NotFound])
def drop_exception(clinic_id: UUID, exception_id: UUID) -> None:
    """Take an exception back."""
    schedule.drop_exception(clinic_id, exception_id)


def _exception(row: Row) -> ScheduleException:
    return ScheduleException(**{name: row[name] for name in ScheduleException.model_fields})
