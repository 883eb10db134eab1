"""Who can be booked at a clinic: practitioners and their weekly hours."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints

from functions.appointment.api.base import CLINIC_DESK, Body, Name, api
from functions.appointment.domain.hours import Weekly
from functions.appointment.service import schedule
from functions.appointment.service.schedule import AlreadyThere
from shared.access import anyone
from shared.db import Row
from shared.errors import Invalid, NotFound, StaleVersion
from shared.http import IfMatch, Reply
from shared.pages import Page, PageQuery
from shared.privacy import PersonErased

__all__ = ["Practitioner"]

Weekday = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
_DAYS: tuple[Weekday, ...] = (
    "MONDAY",
    "TUESDAY",
    "WEDNESDAY",
    "THURSDAY",
    "FRIDAY",
    "SATURDAY",
    "SUNDAY",
)
WallTime = Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
"""A time of the clinic's day such as 08:30; 24:00 is the end of the day (ISO 8601)."""
_PATH = "/clinics/{clinic_id}/practitioners"


class Break(Body):
    """Not at work from ``starts`` until ``ends``."""

    starts: WallTime
    ends: WallTime


class Shift(Body):
    """At work on a day of each week, apart from the breaks."""

    weekday: Weekday
    starts: WallTime
    ends: WallTime
    breaks: list[Break] = Field(default_factory=list, max_length=10)


class PractitionerChange(Body):
    """A practitioner as the clinic shows them; all is replaced."""

    display_name: Name
    hours: list[Shift] = Field(max_length=50)
    active: bool = True

    def columns(self) -> dict[str, object]:
        """As it is stored. Raises Invalid."""
        hours = [
            Weekly(
                _DAYS.index(shift.weekday) + 1,
                _minutes(shift.starts),
                _minutes(shift.ends),
                [(_minutes(one.starts), _minutes(one.ends)) for one in shift.breaks],
            )
            for shift in self.hours
        ]
        packed = schedule.packed(hours)
        return {"display_name": self.display_name, "hours": packed, "active": self.active}


class PractitionerIn(PractitionerChange):
    """Somebody who is to have hours at a clinic; the id is that of their account."""

    practitioner_id: UUID


class Practitioner(PractitionerIn):
    """Somebody who has hours at a clinic."""

    clinic_id: UUID

    @classmethod
    def of(cls, row: Row) -> Self:
        """The representation of a row."""
        hours = [
            Shift(
                weekday=_DAYS[day - 1],
                starts=_wall(start),
                ends=_wall(end),
                breaks=[Break(starts=_wall(away), ends=_wall(back)) for away, back in breaks],
            )
            for day, start, end, breaks in row["hours"]
        ]
        return cls(
            clinic_id=row["clinic_id"],
            practitioner_id=row["practitioner_id"],
            display_name=row["display_name"],
            active=row["active"],
            hours=hours,
        )


@api.get(_PATH, access=anyone(), returns=Page[Practitioner])
def practitioners(clinic_id: UUID, query: PageQuery) -> Page[Practitioner]:
    """Who can be booked at a clinic, by name."""
    rows = schedule.listing("practitioners", clinic_id, query)
    return Page[Practitioner].of(rows, query.limit, _position, Practitioner.of)


@api.post(
    _PATH,
    access=CLINIC_DESK,
    returns=Practitioner,
    status=201,
    problems=[NotFound, AlreadyThere, PersonErased, Invalid],
)
def add_practitioner(clinic_id: UUID, body: PractitionerIn) -> Reply[Practitioner]:
    """Let somebody have hours at a clinic; the same person may at several."""
    row = schedule.add_practitioner(clinic_id, body.practitioner_id, body.columns())
    path = f"{api.prefix}/clinics/{clinic_id}/practitioners/{body.practitioner_id}"
    return Reply(Practitioner.of(row), etag=row["version"], location=path)


@api.get(f"{_PATH}/{{practitioner_id}}", access=anyone(), returns=Practitioner, problems=[NotFound])
def show_practitioner(clinic_id: UUID, practitioner_id: UUID) -> Reply[Practitioner]:
    """One practitioner with the weekly hours."""
    row = schedule.show("practitioners", clinic_id, practitioner_id)
    return Reply(Practitioner.of(row), etag=row["version"])


@api.put(
    f"{_PATH}/{{practitioner_id}}",
    access=CLINIC_DESK,
    returns=Practitioner,
    problems=[NotFound, StaleVersion, PersonErased, Invalid],
)
def change_practitioner(
    clinic_id: UUID, practitioner_id: UUID, body: PractitionerChange, if_match: IfMatch
) -> Reply[Practitioner]:
    """Replace name and weekly hours. What is booked already stays as it is."""
    columns = body.columns()
    row = schedule.replace(
        "practitioners", clinic_id, practitioner_id, version=if_match, columns=columns
    )
    return Reply(Practitioner.of(row), etag=row["version"])


def _position(row: Row) -> tuple[str, UUID]:
    return row["display_name"], row["practitioner_id"]


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _wall(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
