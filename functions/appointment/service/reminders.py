"""Reminding patients of their appointments, and what they answer by the link."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from functions.appointment.domain.reminders import due
from functions.appointment.domain.states import TooLate, in_time
from functions.appointment.domain.visits import Visit
from functions.appointment.service.changing import acknowledge_in, cancel_in, found
from functions.appointment.service.links import reminder_link
from functions.appointment.service.scope import NOBODY_BOUND
from functions.appointment.service.visits import tell
from functions.appointment.store import reminders
from shared import audit
from shared.clocks import clock
from shared.contracts.appointment import AppointmentReminderDue
from shared.db import Row, Tx
from shared.errors import Gone, NotFound
from shared.privacy import PersonErased, alive
from shared.runtime import database

__all__ = ["AppointmentMoved", "Reminded", "acknowledge", "cancel", "remind_due", "show"]

_BATCH = 100
_BUDGET_S = 20.0


class AppointmentMoved(Gone):
    """The appointment is not at this time any more."""


def remind_due() -> int:
    """Remind of each appointment whose moment has come; how many."""
    db, until, sent = database("appointment"), time.monotonic() + _BUDGET_S, 0
    while time.monotonic() < until:
        waiting = reminders.due(db, clock().now(), _BATCH)
        for appointment_id in waiting:
            sent += _remind(appointment_id)
        if len(waiting) < _BATCH:
            break
    return sent


def _remind(appointment_id: UUID) -> int:
    def work(tx: Tx) -> int:
        try:
            row = _lock(tx, appointment_id)
        except (NotFound, PersonErased):
            return 0
        return _settle(tx, row) if row["status"] == "CONFIRMED" else 0

    return database("appointment").transaction(work, isolation="READ COMMITTED")


def _settle(tx: Tx, row: Row) -> int:
    now, appointment_id, starts_at = clock().now(), row["appointment_id"], row["starts_at"]
    todo = due(now, starts_at, row["timed_at"], row["leads"], row["settled"])
    about = reminders.About(appointment_id, row["patient_id"], starts_at)
    reminders.settle(tx, about, todo.skip, "SKIPPED", now)
    if todo.send is None or reminders.settle(tx, about, [todo.send], "SENT", now) == 0:
        return 0
    reminders.reminded(tx, appointment_id)
    audit.record(tx, row["patient_id"], "write", "appointment reminder")
    link = reminder_link(appointment_id, starts_at)
    visit = found(tx, appointment_id, NOBODY_BOUND)[0]
    tell(tx, visit, AppointmentReminderDue, hours_before=todo.send, link=link)
    return 1


@dataclass(frozen=True, slots=True)
class Reminded:
    """The appointment that a link is about; ``cancellable``: its patient may still cancel."""

    visit: Visit
    cancellable: bool


def show(appointment_id: UUID, starts_at: datetime) -> Reminded:
    """The appointment that a link is about. Raises NotFound, AppointmentMoved."""

    def work(tx: Tx) -> Reminded:
        visit, cutoff = _at(tx, appointment_id, starts_at)
        audit.record(tx, visit.patient_id, "read", "appointment")
        return Reminded(visit, in_time(visit.starts_at, cutoff, clock().now()))

    return database("appointment").transaction(work)


def acknowledge(appointment_id: UUID, starts_at: datetime) -> Visit:
    """The patient says yes; again, nothing changes. Raises NotFound, AppointmentMoved,
    NotPossible, PersonErased."""

    def work(tx: Tx) -> Visit:
        _lock(tx, appointment_id)
        return acknowledge_in(tx, _at(tx, appointment_id, starts_at)[0])

    return database("appointment").transaction(work, isolation="READ COMMITTED")


def cancel(appointment_id: UUID, starts_at: datetime) -> Visit:
    """The patient does not come; again, nothing changes. Raises NotFound, AppointmentMoved,
    NotPossible, TooLate, PersonErased."""

    def work(tx: Tx) -> Visit:
        _lock(tx, appointment_id)
        visit, cutoff = _at(tx, appointment_id, starts_at)
        if visit.status == "CANCELLED":
            return visit
        if not in_time(visit.starts_at, cutoff, clock().now()):
            raise TooLate
        return cancel_in(tx, visit, "PATIENT")

    return database("appointment").transaction(work, isolation="READ COMMITTED")


def _lock(tx: Tx, appointment_id: UUID) -> Row:
    """The appointment and its reminders: of two who come here at once, the second finds what the
    first has done. Raises NotFound, PersonErased."""
    patient_id = reminders.patient_of(tx, appointment_id)
    if patient_id is None:
        raise _unknown()
    alive(tx, patient_id)
    row = reminders.lock(tx, appointment_id)
    if row is None:
        raise _unknown()
    return row


def _at(tx: Tx, appointment_id: UUID, starts_at: datetime) -> tuple[Visit, timedelta]:
    """The appointment and its cut-off, if it is still at this time."""
    visit, cutoff = found(tx, appointment_id, NOBODY_BOUND)
    if visit.starts_at != starts_at:
        raise AppointmentMoved
    return visit, cutoff


def _unknown() -> NotFound:
    return NotFound("There is no such appointment.")
