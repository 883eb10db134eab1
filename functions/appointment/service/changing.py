"""What becomes of an appointment: moved, cancelled, begun, done, missed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from functions.appointment.domain.states import (
    CancelledBy,
    Step,
    TooLate,
    TooSoon,
    in_time,
    next_status,
)
from functions.appointment.domain.visits import Visit
from functions.appointment.service.booking import (
    Order,
    permit,
    refuse,
    schedule_for,
    slot_for,
    take_time,
)
from functions.appointment.service.scope import Scope
from functions.appointment.service.visits import VisitEvent, tell
from functions.appointment.store import appointments, booking, slots
from functions.appointment.store.hooks import freed
from functions.appointment.store.slots import Slot
from shared.clocks import clock
from shared.contracts.appointment import (
    AppointmentAcknowledged,
    AppointmentCancelled,
    AppointmentCheckedIn,
    AppointmentCompleted,
    AppointmentMissed,
    AppointmentRescheduled,
)
from shared.db import Row, Tx
from shared.errors import Forbidden, NotFound, StaleVersion
from shared.privacy import guard
from shared.runtime import database, vault

__all__ = [
    "Move",
    "acknowledge_in",
    "cancel",
    "cancel_in",
    "cancel_series",
    "check_in",
    "complete",
    "found",
    "miss",
    "reschedule",
]

_EARLY = timedelta(hours=12)
"""Somebody may be checked in so long before the appointment: on its day."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where an appointment moves to; None: as it is."""

    starts_at: datetime
    practitioner_id: UUID | None = None
    chair_id: UUID | None = None


def found(
    tx: Tx, appointment_id: UUID, scope: Scope, version: int | None = None
) -> tuple[Visit, timedelta]:
    """The appointment and its type's cut-off. Raises NotFound; StaleVersion where ``version`` is
    another one."""
    row = appointments.find(tx, appointment_id, scope.params)
    if row is None:
        raise NotFound("There is no such appointment.")
    visit = Visit.of(row)
    if version is not None and visit.version != version:
        raise StaleVersion
    return visit, timedelta(minutes=row["cutoff_minutes"])


def reschedule(appointment_id: UUID, version: int, to: Move, scope: Scope) -> Visit:
    """Move an appointment in one step: it has the old slot or the new one, never none. Patients
    may do so until the cut-off of its type.

    Raises NotFound, StaleVersion, NotPossible, TooLate, NotBookable, SlotNotOffered, SlotTaken.
    """

    def work(tx: Tx) -> Visit:
        old, cutoff = found(tx, appointment_id, scope, version)
        next_status(old.status, "reschedule")
        _in_time(old, cutoff, scope)
        order = Order(
            patient_id=old.patient_id,
            practitioner_id=to.practitioner_id or old.practitioner_id,
            type_id=old.type_id,
            starts_at=to.starts_at,
            chair_id=to.chair_id,
        )
        alone = slots.alone(old.practitioner_id, order.practitioner_id)
        schedule = schedule_for(tx, order, alone, appointments.lock(appointment_id))
        permit(tx, order, schedule, scope)
        slot = slot_for(appointment_id, order, schedule)
        needs = schedule.needs_chair or to.chair_id is not None

        def take(*, again: bool = True) -> Row | None:
            return booking.move(tx, slot, needs_chair=needs, preferred=old.chair_id, again=again)

        row = take(again=False) or take_time(tx, order, schedule, take)
        if isinstance(row, str):
            refuse(tx, order, row)
        new = replace(
            old,
            practitioner_id=slot.practitioner_id,
            chair_id=row["chair_id"],
            starts_at=slot.starts_at,
            ends_at=slot.ends_at,
            acknowledged_at=None,
        )
        timed = {"timed_at": clock().now()}
        saved = _save(
            tx, old, new, AppointmentRescheduled, columns=timed, previous_starts_at=old.starts_at
        )
        freed(tx, _slot(old))
        return saved

    return _transact(work)


def cancel(appointment_id: UUID, version: int, scope: Scope, reason: str | None) -> Visit:
    """Cancel: the clinic at any time, the patient until the cut-off of the appointment's type.

    Raises NotFound, StaleVersion, NotPossible, TooLate.
    """

    def work(tx: Tx) -> Visit:
        visit, cutoff = found(tx, appointment_id, scope, version)
        _in_time(visit, cutoff, scope)
        by: CancelledBy = "CLINIC" if scope.staff_at(visit.clinic_id) else "PATIENT"
        return cancel_in(tx, visit, by, reason)

    return _transact(work)


def cancel_series(series_id: UUID, scope: Scope, reason: str | None) -> list[Visit]:
    """Cancel all that is still to come of a series: what was cancelled. Whoever changes one of them
    meanwhile is first, or finds it cancelled. Raises NotFound, Forbidden."""

    def work(tx: Tx) -> list[Visit]:
        now = clock().now()
        rows = appointments.of_series(tx, series_id, now, scope.params)
        if rows:
            # In the order in which a move locks; one patient has all of a series.
            alone = slots.alone(*{row["practitioner_id"] for row in rows})
            tx.batch(guard(rows[0]["patient_id"]), alone)
            rows = appointments.of_series(tx, series_id, now, scope.params, lock=True)
        if not rows:
            raise NotFound("Nothing of this series is still to come.")
        visits = [Visit.of(row) for row in rows]
        if not all(scope.staff_at(visit.clinic_id) for visit in visits):
            raise Forbidden
        return [cancel_in(tx, visit, "CLINIC", reason) for visit in visits]

    return database("appointment").transaction(work, isolation="READ COMMITTED")


def cancel_in(tx: Tx, visit: Visit, by: CancelledBy, reason: str | None = None) -> Visit:
    """Cancel as a part of ``tx``, whatever the cut-off; the slot is free then, and whoever waits
    for one hears of it. Raises NotPossible; StaleVersion: ``tx`` must not be committed then."""
    status = next_status(visit.status, "cancel")
    new = replace(visit, status=status, cancelled_by=by, cancelled_at=clock().now())
    more: dict[str, Any] = {}
    if reason is not None:
        key = vault("appointment").new_subject(tx, visit.patient_id)
        more["cancellation_reason"] = key.seal("cancellation_reason", reason)
    return _save(tx, visit, new, AppointmentCancelled, columns=more, cancelled_by=by)


def acknowledge_in(tx: Tx, visit: Visit) -> Visit:
    """The patient says yes to a reminder; nothing happens where they have said so already.
    Raises NotPossible; StaleVersion: ``tx`` must not be committed then."""
    next_status(visit.status, "acknowledge")
    if visit.acknowledged_at is not None:
        return visit
    return _save(tx, visit, replace(visit, acknowledged_at=clock().now()), AppointmentAcknowledged)


def check_in(appointment_id: UUID, version: int, scope: Scope) -> Visit:
    """The patient is there, on the day of the appointment. Raises NotFound, StaleVersion,
    NotPossible, TooSoon."""
    return _step(appointment_id, version, scope, step="check-in", event=AppointmentCheckedIn)


def complete(appointment_id: UUID, version: int, scope: Scope) -> Visit:
    """The visit is over. Raises NotFound, StaleVersion, NotPossible."""
    return _step(appointment_id, version, scope, step="complete", event=AppointmentCompleted)


def miss(appointment_id: UUID, version: int, scope: Scope) -> Visit:
    """The patient has not come; the rest of the slot is free. Raises NotFound, StaleVersion,
    NotPossible, TooSoon."""
    return _step(
        appointment_id, version, scope, step="miss", event=AppointmentMissed, early=timedelta()
    )


def _step(
    appointment_id: UUID,
    version: int,
    scope: Scope,
    *,
    step: Step,
    event: type[VisitEvent],
    early: timedelta = _EARLY,
) -> Visit:
    def work(tx: Tx) -> Visit:
        visit, _ = found(tx, appointment_id, scope, version)
        if not scope.staff_at(visit.clinic_id):
            raise Forbidden
        status = next_status(visit.status, step)
        if clock().now() < visit.starts_at - early:
            raise TooSoon
        return _save(tx, visit, replace(visit, status=status), event)

    return _transact(work)


def _save(
    tx: Tx,
    old: Visit,
    new: Visit,
    event: type[VisitEvent],
    *,
    columns: dict[str, Any] | None = None,
    **more: object,
) -> Visit:
    """Save what differs, free the slot if the appointment does not stand any more, and tell."""
    changed = {
        name: getattr(new, name) for name in _SAVED if getattr(new, name) != getattr(old, name)
    }
    ended = new.status in ("CANCELLED", "MISSED")
    version, slot = appointments.change(tx, old, changed | (columns or {}), release=ended)
    if version is None:
        raise StaleVersion
    saved = replace(new, version=version)
    tell(tx, saved, event, **more)
    freed(tx, slot)
    return saved


_SAVED = (
    "practitioner_id",
    "chair_id",
    "starts_at",
    "ends_at",
    "status",
    "cancelled_by",
    "cancelled_at",
    "acknowledged_at",
)


def _slot(visit: Visit) -> Slot:
    """The time that the appointment took."""
    return Slot(
        slot_id=visit.appointment_id,
        kind="APPOINTMENT",
        clinic_id=visit.clinic_id,
        practitioner_id=visit.practitioner_id,
        patient_id=visit.patient_id,
        chair_id=visit.chair_id,
        starts_at=visit.starts_at,
        ends_at=visit.ends_at,
    )


def _in_time(visit: Visit, cutoff: timedelta, scope: Scope) -> None:
    if not scope.staff_at(visit.clinic_id) and not in_time(visit.starts_at, cutoff, clock().now()):
        raise TooLate(cutoff_minutes=int(cutoff.total_seconds() // 60))


def _transact(work: Any) -> Visit:
    visit: Visit = database("appointment").transaction(work, isolation="READ COMMITTED")
    return visit
