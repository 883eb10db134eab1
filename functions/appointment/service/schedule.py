"""What a clinic offers: practitioners and their hours, exceptions, chairs, types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.appointment.domain.hours import ExceptionKind, Weekly, flaw
from functions.appointment.store import schedule
from functions.appointment.store.schedule import Table
from shared import audit
from shared.client import client
from shared.contracts.auth import ClinicUpdated, RolesChanged
from shared.db import ForeignKeyViolation, Row, Tx, UniqueViolation
from shared.errors import Conflict, Invalid, NotFound, StaleVersion
from shared.pages import PageQuery
from shared.privacy import alive
from shared.runtime import database
from shared.types import uuid7

__all__ = [
    "AlreadyThere",
    "add",
    "add_exception",
    "add_practitioner",
    "drop_exception",
    "exceptions",
    "follow_clinic",
    "follow_roles",
    "known_clinic",
    "listing",
    "packed",
    "replace",
    "show",
    "zone_of",
]

_HOURS = "working hours"


class AlreadyThere(Conflict):
    """The clinic has one of this name, or this practitioner, already."""


def follow_clinic(event: ClinicUpdated, tx: Tx, version: int) -> None:
    """What auth says about a clinic, unless something newer is known."""
    schedule.keep_clinic(tx, event.clinic_id, version, event.name, event.time_zone)


def follow_roles(event: RolesChanged, tx: Tx, version: int) -> None:
    """Who has no role at a clinic any more cannot be booked there, until staff of the clinic say
    otherwise; what is booked stays for them to move."""
    clinics = (held.clinic_id for held in event.roles)
    if schedule.keep_roles(tx, event.person_id, version, clinics):
        audit.record(tx, event.person_id, "write", _HOURS)


def known_clinic(clinic_id: UUID) -> None:
    """Return if there is this clinic: as was heard, or as auth says now. Comes before the
    transaction that needs it. Raises NotFound, Unavailable."""
    if schedule.clinic(database("appointment"), clinic_id) is not None:
        return
    try:
        told = client("appointment").get("auth", f"/clinics/{clinic_id}")
    except NotFound:
        raise NotFound("There is no such clinic.") from None

    def heard(tx: Tx) -> None:
        # Whatever version a message has, it is newer.
        schedule.keep_clinic(tx, clinic_id, 0, told["name"], told["time_zone"])

    database("appointment").apart(heard, isolation="READ COMMITTED")


def zone_of(clinic_id: UUID) -> str:
    """The clinic's time zone (IANA). Raises NotFound."""
    row = schedule.clinic(database("appointment"), clinic_id)
    if row is None:
        raise NotFound("There is no such clinic.")
    zone: str = row["time_zone"]
    return zone


def packed(hours: list[Weekly]) -> str:
    """Weekly hours as they are stored. Raises Invalid."""
    wrong = flaw(hours)
    if wrong is not None:
        raise Invalid(errors=[{"pointer": "/hours", "detail": wrong}])
    return json.dumps(sorted(hours))


def add_practitioner(clinic_id: UUID, practitioner_id: UUID, columns: Mapping[str, Any]) -> Row:
    """Let somebody have hours at a clinic. Raises NotFound, AlreadyThere, PersonErased."""
    known_clinic(clinic_id)

    def work(tx: Tx) -> Row:
        alive(tx, practitioner_id)
        audit.record(tx, practitioner_id, "create", _HOURS)
        named = {"clinic_id": clinic_id, "practitioner_id": practitioner_id}
        return _added(tx, "practitioners", {**named, **columns})

    return database("appointment").transaction(work, isolation="READ COMMITTED")


def add(table: Table, clinic_id: UUID, key: str, columns: Mapping[str, Any]) -> Row:
    """Add a chair or a type to a clinic, under a new id named ``key``. Raises NotFound,
    AlreadyThere."""
    known_clinic(clinic_id)

    def work(tx: Tx) -> Row:
        return _added(tx, table, {"clinic_id": clinic_id, key: uuid7(), **columns})

    return database("appointment").transaction(work, isolation="READ COMMITTED")


def replace(
    table: Table, clinic_id: UUID, key: UUID, *, version: int, columns: Mapping[str, Any]
) -> Row:
    """Save ``columns`` over ``version``; what is booked already stays as it is. Raises NotFound,
    StaleVersion, AlreadyThere."""

    def work(tx: Tx) -> Row:
        if table == "practitioners":
            alive(tx, key)
            audit.record(tx, key, "write", _HOURS)
        try:
            row = schedule.replace(tx, table, clinic_id, key, version=version, columns=columns)
        except UniqueViolation:
            raise AlreadyThere from None
        if row is None:
            there = schedule.show(tx, table, clinic_id, key)
            raise StaleVersion if there is not None else NotFound
        return row

    return database("appointment").transaction(work, isolation="READ COMMITTED")


def listing(table: Table, clinic_id: UUID, query: PageQuery) -> list[Row]:
    """Those of a clinic by name: one more than asked for if there are. Raises BadRequest."""
    after = query.after(tuple[str, UUID])
    return schedule.listing(database("appointment"), table, clinic_id, after, query.limit + 1)


def exceptions(
    clinic_id: UUID,
    practitioner_id: UUID | None,
    since: datetime,
    until: datetime,
    query: PageQuery,
) -> list[Row]:
    """Exceptions between two local times: one more than asked for if there are. Raises
    BadRequest."""
    return schedule.exceptions(
        database("appointment"),
        clinic_id,
        practitioner_id,
        since=since,
        until=until,
        after=query.after(tuple[datetime, UUID]),
        limit=query.limit + 1,
    )


def show(table: Table, clinic_id: UUID, key: UUID) -> Row:
    """One of a clinic. Raises NotFound."""
    row = schedule.show(database("appointment"), table, clinic_id, key)
    if row is None:
        raise NotFound
    return row


def add_exception(
    clinic_id: UUID,
    practitioner_id: UUID | None,
    kind: ExceptionKind,
    starts: datetime,
    ends: datetime,
) -> UUID:
    """Make an exception in local time, of one practitioner or (a holiday) of all: its id.

    What is booked already stays: reception sees it in the list and moves it. Raises NotFound.
    """
    exception_id = uuid7()

    def work(tx: Tx) -> None:
        if practitioner_id is not None:
            alive(tx, practitioner_id)
            audit.record(tx, practitioner_id, "write", _HOURS)
        try:
            schedule.add_exception(
                tx,
                {
                    "exception_id": exception_id,
                    "clinic_id": clinic_id,
                    "practitioner_id": practitioner_id,
                    "kind": kind,
                    "starts": starts,
                    "ends": ends,
                },
            )
        except ForeignKeyViolation:
            raise NotFound("There is no such practitioner at this clinic.") from None

    known_clinic(clinic_id)
    database("appointment").transaction(work, isolation="READ COMMITTED")
    return exception_id


def drop_exception(clinic_id: UUID, exception_id: UUID) -> None:
    """Take an exception back. Raises NotFound."""

    def work(tx: Tx) -> None:
        gone = schedule.drop_exception(tx, clinic_id, exception_id)
        if gone is None:
            raise NotFound
        if gone["practitioner_id"] is not None:
            audit.record(tx, gone["practitioner_id"], "write", _HOURS)

    database("appointment").transaction(work, isolation="READ COMMITTED")


def _added(tx: Tx, table: Table, columns: Mapping[str, Any]) -> Row:
    try:
        return schedule.add(tx, table, columns)
    except UniqueViolation:
        raise AlreadyThere from None
