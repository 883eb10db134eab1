"""Reading appointments, each read on record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from functions.appointment.domain.hours import Span, Weekly, instant, working
from functions.appointment.domain.visits import Visit
from functions.appointment.service.scope import Scope
from functions.appointment.store import appointments
from functions.appointment.store.appointments import Filter
from functions.appointment.store.availability import exceptional
from shared.db import Row
from shared.errors import NotFound
from shared.runtime import database, vault

__all__ = ["Day", "Desk", "day", "listing", "show"]


@dataclass(frozen=True, slots=True)
class Desk:
    """One practitioner's day."""

    practitioner_id: UUID
    display_name: str
    work: list[Span]
    visits: list[Visit]


@dataclass(frozen=True, slots=True)
class Day:
    """A day at a clinic."""

    time_zone: str
    desks: list[Desk]


def show(appointment_id: UUID, scope: Scope) -> tuple[Visit, str | None, str | None]:
    """The appointment, its note, and why it was cancelled. Raises NotFound."""
    row = appointments.show(database("appointment"), appointment_id, scope.params)
    if row is None:
        raise NotFound("There is no such appointment.")
    note, reason = row["note"], row["cancellation_reason"]
    if note is None and reason is None:
        return Visit.of(row), None, None
    key = vault("appointment").subject(row["patient_id"], row["key_version"], row["key_wrapped"])
    return (
        Visit.of(row),
        key.unseal("note", note),
        key.unseal("cancellation_reason", reason),
    )


def listing(
    wanted: Filter, scope: Scope, after: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """Appointments in order of time, behind ``after``: one more than ``limit`` if there are."""
    db = database("appointment")
    return appointments.listing(db, wanted, scope.params, after, limit + 1)


def day(clinic_id: UUID, on: date) -> Day:
    """A day at the clinic: everybody who works there, when, and with whom. Raises NotFound."""
    rows = appointments.day(database("appointment"), clinic_id, on)
    if not rows:
        raise NotFound("There is no such clinic, or nobody works there.")
    zone = ZoneInfo(rows[0]["zone"])
    desks: dict[UUID, Desk] = {}
    for row in rows:
        desk = desks.get(row["of_practitioner"])
        if desk is None:
            desk = desks[row["of_practitioner"]] = _desk(row, on, zone)
        if row["appointment_id"] is not None:
            desk.visits.append(Visit.of(row))
    return Day(zone.key, list(desks.values()))


def _desk(row: Row, on: date, zone: ZoneInfo) -> Desk:
    midnight = datetime(on.year, on.month, on.day)  # noqa: DTZ001 -- on the wall
    window = Span(instant(midnight, zone), instant(midnight + timedelta(days=1), zone))
    weekly = [Weekly(*hours) for hours in row["hours"]]
    exceptions = [exceptional(one) for one in row["exceptions"] or ()]
    work = working(weekly, exceptions, zone, window)
    return Desk(row["of_practitioner"], row["display_name"], work, [])
