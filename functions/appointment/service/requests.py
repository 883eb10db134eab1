"""Asking reception for an appointment: a patient asks, reception books it or says why not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from functions.appointment.domain.hours import Span
from functions.appointment.domain.visits import Visit
from functions.appointment.service.booking import Order, book_in
from functions.appointment.service.scope import NOBODY_BOUND, Scope
from functions.appointment.service.wanted import Wanted, check
from functions.appointment.store import requests
from functions.appointment.store.asked import Filter
from functions.appointment.store.windows import spans
from shared import audit
from shared.clocks import clock
from shared.contracts.appointment import AppointmentRequestDeclined, AppointmentRequested
from shared.crypto import Unreadable
from shared.db import Row, Tx
from shared.errors import Conflict, Forbidden, NotFound, StaleVersion
from shared.pages import Page, PageQuery
from shared.privacy import alive
from shared.runtime import database, vault
from shared.types import uuid7

__all__ = [
    "Accept",
    "Request",
    "RequestDecided",
    "RequestStatus",
    "accept",
    "ask",
    "decline",
    "listing",
    "show",
    "withdraw",
]

RequestStatus = Literal["OPEN", "ACCEPTED", "DECLINED", "WITHDRAWN"]
_NOTE = "appointment_requests.note"
_REASON = "appointment_requests.reason"


class RequestDecided(Conflict):
    """This request was accepted, declined or withdrawn already."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a patient asked for, and what came of it."""

    request_id: UUID
    version: int
    patient_id: UUID
    clinic_id: UUID
    type_id: UUID
    practitioner_id: UUID | None
    windows: list[Span]
    note: str | None
    status: RequestStatus
    reason: str | None
    appointment_id: UUID | None
    made_at: datetime
    decided_at: datetime | None

    @classmethod
    def of(cls, row: Row) -> Self:
        """The request in a row, opened with the key in it."""
        plain: dict[str, Any] = {
            name: row[name] for name in cls.__slots__ if name not in ("windows", "note", "reason")
        }
        note = reason = None
        if row["note"] is not None or row["reason"] is not None:
            if row["key_version"] is None:
                raise Unreadable
            key = vault("appointment").subject(
                row["patient_id"], row["key_version"], row["key_wrapped"]
            )
            note, reason = key.unseal(_NOTE, row["note"]), key.unseal(_REASON, row["reason"])
        return cls(**plain, windows=spans(row["windows"]), note=note, reason=reason)


@dataclass(frozen=True, slots=True)
class Accept:
    """What reception books for a request."""

    practitioner_id: UUID
    starts_at: datetime
    chair_id: UUID | None = None
    note: str | None = None


def ask(wanted: Wanted, note: str | None) -> Request:
    """Reception hears of it. Raises NotFound, NotBookable, Invalid, PersonErased."""
    wanted.check_before()
    request_id = uuid7()

    def work(tx: Tx) -> None:
        alive(tx, wanted.patient_id)
        check(tx, wanted)
        columns = {
            "request_id": request_id,
            "made_at": clock().now(),
            "note": _sealed(tx, wanted.patient_id, _NOTE, note),
            **wanted.columns,
        }
        requests.insert(tx, columns, wanted.windows)
        audit.record(tx, wanted.patient_id, "create", "appointment request")
        tx.emit(
            AppointmentRequested(
                request_id=request_id, patient_id=wanted.patient_id, clinic_id=wanted.clinic_id
            ),
            version=1,
        )

    database("appointment").transaction(work, isolation="READ COMMITTED")
    return show(request_id, NOBODY_BOUND)


def show(request_id: UUID, scope: Scope) -> Request:
    """Raises NotFound."""
    row = requests.show(database("appointment"), request_id, scope.params)
    if row is None:
        raise _unknown()
    return Request.of(row)


def listing(query: PageQuery, wanted: Filter) -> Page[Request]:
    """Requests to a clinic or of a patient, in the order in which they were made. Raises
    BadRequest."""
    after = query.after(tuple[datetime, UUID])
    rows = requests.listing(database("appointment"), wanted, after, query.limit + 1)
    return Page.of(
        rows, query.limit, lambda row: (row["made_at"], row["request_id"]), item=Request.of
    )


def accept(request_id: UUID, version: int, order: Accept, scope: Scope) -> Visit:
    """Book what the patient asked for, or another time that they agreed to: the appointment and
    the answer in one step, or neither.

    Raises NotFound, StaleVersion, RequestDecided; and what ``booking.book`` raises.
    """

    def work(tx: Tx) -> Visit:
        row = _open(tx, request_id, version, scope, staff=True)
        visit = book_in(
            tx,
            Order(
                patient_id=row["patient_id"],
                practitioner_id=order.practitioner_id,
                type_id=row["type_id"],
                starts_at=order.starts_at,
                chair_id=order.chair_id,
                note=order.note,
            ),
            scope,
        )
        _decide(tx, row, "ACCEPTED", scope, appointment_id=visit.appointment_id)
        return visit

    return database("appointment").transaction(work, isolation="READ COMMITTED")


def decline(request_id: UUID, version: int, reason: str, scope: Scope) -> Request:
    """Tell the patient why not. Raises NotFound, StaleVersion, RequestDecided, PersonErased."""

    def work(tx: Tx) -> None:
        row = _open(tx, request_id, version, scope, staff=True)
        sealed = _sealed(tx, row["patient_id"], _REASON, reason)
        new = _decide(tx, row, "DECLINED", scope, reason=sealed)
        tx.emit(
            AppointmentRequestDeclined(
                request_id=request_id,
                patient_id=row["patient_id"],
                clinic_id=row["clinic_id"],
                reason=reason,
            ),
            version=new,
        )

    database("appointment").transaction(work, isolation="READ COMMITTED")
    return show(request_id, NOBODY_BOUND)


def withdraw(request_id: UUID, version: int, scope: Scope) -> Request:
    """The patient does not ask any more. Raises NotFound, StaleVersion, RequestDecided,
    PersonErased."""

    def work(tx: Tx) -> None:
        _decide(tx, _open(tx, request_id, version, scope), "WITHDRAWN", scope)

    database("appointment").transaction(work, isolation="READ COMMITTED")
    return show(request_id, NOBODY_BOUND)


def _open(tx: Tx, request_id: UUID, version: int, scope: Scope, *, staff: bool = False) -> Row:
    """The request while it is undecided; nobody else decides it before this transaction ends.
    ``staff``: patients do not answer themselves."""
    about = requests.whose(tx, request_id)
    if about is None or not scope.reaches(about["patient_id"], about["clinic_id"]):
        raise _unknown()
    if staff and not scope.staff_at(about["clinic_id"]):
        raise Forbidden
    alive(tx, about["patient_id"])
    row = requests.lock(tx, request_id)
    if row is None:
        raise _unknown()
    if row["status"] != "OPEN":
        raise RequestDecided(status_of_request=row["status"])
    if row["version"] != version:
        raise StaleVersion
    return row


def _decide(
    tx: Tx,
    row: Row,
    status: RequestStatus,
    scope: Scope,
    *,
    reason: bytes | None = None,
    appointment_id: UUID | None = None,
) -> int:
    new = requests.decide(
        tx,
        row["request_id"],
        row["version"],
        status,
        by=scope.person,
        at=clock().now(),
        reason=reason,
        appointment_id=appointment_id,
    )
    if new is None:
        raise StaleVersion
    audit.record(tx, row["patient_id"], "write", "appointment request")
    return new


def _sealed(tx: Tx, patient_id: UUID, field: str, text: str | None) -> bytes | None:
    if text is None:
        return None
    return vault("appointment").new_subject(tx, patient_id).seal(field, text)


def _unknown() -> NotFound:
    return NotFound("There is no such request.")
