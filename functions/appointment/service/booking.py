"""Booking: one transaction, and the constraints of ``slots_taken`` say who gets a slot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn
from uuid import UUID

from functions.appointment.domain import slots
from functions.appointment.domain.hours import Span, within
from functions.appointment.domain.refusals import (
    NotBookable,
    SlotNotOffered,
    SlotTaken,
    shown,
)
from functions.appointment.domain.slots import Reason
from functions.appointment.domain.visits import Visit
from functions.appointment.service import finding
from functions.appointment.service.finding import FARTHEST
from functions.appointment.service.scope import Scope
from functions.appointment.service.visits import tell
from functions.appointment.store import availability, booking
from functions.appointment.store.availability import Schedule, Wish
from functions.appointment.store.slots import Slot
from shared import audit
from shared.clocks import clock
from shared.contracts.appointment import AppointmentBooked, AppointmentConfirmed
from shared.db import Row, Tx
from shared.errors import Forbidden, NotFound
from shared.known_people import must_be_patient
from shared.privacy import PersonErased, guard
from shared.runtime import database, vault
from shared.types import uuid7
from shared.wire import Statement

__all__ = [
    "Order",
    "book",
    "book_in",
    "permit",
    "place",
    "refuse",
    "schedule_for",
    "slot_for",
    "take_time",
    "try_place",
    "within_reach",
]

_AROUND = timedelta(days=1)
_TRIES = 50


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants to book."""

    patient_id: UUID
    practitioner_id: UUID
    type_id: UUID
    starts_at: datetime
    chair_id: UUID | None = None
    note: str | None = None

    @property
    def wish(self) -> Wish:
        """Whose time it takes."""
        return Wish(self.practitioner_id, self.type_id, self.patient_id, self.chair_id)


def book(order: Order, scope: Scope) -> Visit:
    """Book for whoever ``scope`` is: staff of the type's clinic, or the patient.

    Raises NotFound (type or patient), Forbidden, NotBookable, SlotNotOffered, SlotTaken,
    PersonErased, Unavailable.
    """

    def work(tx: Tx) -> Visit | None:
        schedule = schedule_for(tx, order)
        if not schedule.known:
            return None
        return place(tx, order, schedule, scope)

    made = _transact(work)
    if made is None:
        must_be_patient("appointment", order.patient_id)
        made = _transact(work)
    if made is None:
        raise NotFound("There is no such patient.")
    return made


def book_in(tx: Tx, order: Order, scope: Scope, *, series_id: UUID | None = None) -> Visit:
    """``book`` as a part of ``tx`` (READ COMMITTED) for a patient who is known to be one
    (``must_be_patient`` came before). Raises as ``book``: ``tx`` must not be committed then."""
    schedule = schedule_for(tx, order)
    return place(tx, order, schedule, scope, series_id=series_id)


def schedule_for(
    tx: Tx, order: Order, *locks: Statement, until: datetime | None = None
) -> Schedule:
    """What has to be known to book ``order`` (and more of its kind, ``until`` a later time), read
    behind ``locks``. The patient is not erased meanwhile. Nobody works at a time out of reach.

    Raises NotFound, PersonErased.
    """
    now = clock().now()
    starts_at = min(max(order.starts_at, now), now + FARTHEST)
    window = Span(starts_at - _AROUND, (until or starts_at) + 2 * _AROUND)
    # The patient's lock comes before the locks of rows, and is a statement before the one that
    # looks whether they were erased.
    asked = availability.statement(order.wish, window)
    rows = tx.batch(guard(order.patient_id), *locks, asked)[-1].rows
    if not rows:
        raise NotFound("There is no such type of appointment.")
    schedule = availability.schedule_of(rows[0], window)
    if schedule.erased:
        raise PersonErased
    return schedule


def place(
    tx: Tx, order: Order, schedule: Schedule, scope: Scope, *, series_id: UUID | None = None
) -> Visit:
    """Take the slot and make the appointment. Raises as ``book``."""
    permit(tx, order, schedule, scope)
    made = try_place(tx, order, schedule, scope, series_id=series_id)
    return made if isinstance(made, Visit) else refuse(tx, order, made)


def try_place(
    tx: Tx, order: Order, schedule: Schedule, scope: Scope, *, series_id: UUID | None = None
) -> Visit | Reason:
    """``place`` where ``permit`` came before, but says who has no time. Raises NotBookable."""
    new = _new(tx, order, schedule, booked_by=scope.person, series_id=series_id)
    row = booking.insert(tx, new, audit.entry(order.patient_id, "create", "appointment"))

    def again() -> Row | None:
        return booking.insert(tx, new, again=True)

    found = row or take_time(tx, order, schedule, again)
    return found if isinstance(found, str) else _made(tx, new, found, schedule)


def permit(tx: Tx, order: Order, schedule: Schedule, scope: Scope) -> None:
    """Whether whoever ``scope`` is may have this slot if it is free. Raises Forbidden,
    NotBookable, SlotNotOffered."""
    staff = scope.staff_at(schedule.clinic_id)
    if not staff and order.patient_id != scope.person:
        raise Forbidden("You book at your own clinic, or for yourself.")
    if not schedule.bookable:
        raise NotBookable
    within_reach(tx, order)
    reason = _unoffered(schedule, schedule.slot(order.starts_at), staff=staff)
    if reason is not None:
        since = max(order.starts_at, clock().now())
        raise SlotNotOffered(reason=reason, next=shown(finding.next_free(tx, order.wish, since)))


def within_reach(tx: Tx, order: Order, since: datetime | None = None) -> None:
    """Whether ``order`` is neither over (``since`` an earlier time: before that) nor too far ahead.
    What it says instead is about the patient's time, too: comes after what says who may know.
    Raises SlotNotOffered."""
    now = clock().now()
    if (since or now) <= order.starts_at < now + FARTHEST:
        return
    reason: Reason = "PAST" if order.starts_at < now else "TOO_FAR"
    raise SlotNotOffered(reason=reason, next=shown(finding.next_free(tx, order.wish, now)))


def slot_for(slot_id: UUID, order: Order, schedule: Schedule) -> Slot:
    """The row that takes the time of all whom ``order`` concerns."""
    span = schedule.slot(order.starts_at)
    return Slot(
        slot_id=slot_id,
        kind="APPOINTMENT",
        clinic_id=schedule.clinic_id,
        practitioner_id=order.practitioner_id,
        patient_id=order.patient_id,
        chair_id=order.chair_id,
        starts_at=span.start,
        ends_at=span.end,
    )


def take_time(
    tx: Tx, order: Order, schedule: Schedule, again: Callable[[], Row | None]
) -> Row | Reason:
    """After somebody was first: who has no time, or the row that ``again`` returns, where it was
    only about a chair and there is another one. Raises NotBookable."""
    span = schedule.slot(order.starts_at)
    for _ in range(_TRIES):
        busy = availability.busy(tx, order.wish, schedule, span)
        if busy.chairs is not None and not busy.chairs:
            raise NotBookable("There is no such chair, or none at all.")
        reason = busy.obstacle(span)
        if reason is not None:
            return reason
        row = again()
        if row is not None:
            return row
    return "CHAIR"


def refuse(tx: Tx, order: Order, reason: Reason) -> NoReturn:
    """Say who has no time, and when all have. Raises SlotTaken."""
    raise SlotTaken(reason=reason, next=shown(finding.next_free(tx, order.wish, order.starts_at)))


def sealed(tx: Tx, patient_id: UUID, schedule: Schedule, note: str | None) -> bytes | None:
    """``note`` as it is stored."""
    if note is None:
        return None
    version, wrapped = schedule.key_version, schedule.key_wrapped
    known = version is not None
    keys = vault("appointment")
    key = keys.subject(patient_id, version, wrapped) if known else keys.new_subject(tx, patient_id)
    return key.seal("note", note)


def _unoffered(schedule: Schedule, span: Span, *, staff: bool) -> Reason | None:
    if not within(span, schedule.work):
        return "OUTSIDE_HOURS"
    if not staff and not slots.on_grid(span.start):
        return "OFF_GRID"
    return None


def _new(
    tx: Tx, order: Order, schedule: Schedule, *, booked_by: UUID | None, series_id: UUID | None
) -> booking.New:
    return booking.New(
        slot=slot_for(uuid7(), order, schedule),
        type_id=order.type_id,
        needs_chair=schedule.needs_chair or order.chair_id is not None,
        status="CONFIRMED",
        amount=schedule.price,
        currency=schedule.currency,
        note=sealed(tx, order.patient_id, schedule, order.note),
        series_id=series_id,
        booked_by=booked_by,
        booked_at=clock().now(),
    )


def _made(tx: Tx, new: booking.New, row: Row, schedule: Schedule) -> Visit:
    slot = new.slot
    visit = Visit(
        appointment_id=slot.slot_id,
        version=1,
        patient_id=slot.patient_id,
        clinic_id=slot.clinic_id,
        practitioner_id=slot.practitioner_id,
        type_id=new.type_id,
        chair_id=row["chair_id"],
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        status=new.status,
        amount=new.amount,
        currency=new.currency,
        cancelled_by=None,
        cancelled_at=None,
        acknowledged_at=None,
        series_id=new.series_id,
        booked_at=new.booked_at,
        time_zone=schedule.zone.key,
        clinic_name=schedule.clinic_name,
    )
    tell(tx, visit, AppointmentBooked, status=new.status)
    tell(tx, visit, AppointmentConfirmed)
    return visit


def _transact(work: Callable[[Tx], Visit | None]) -> Visit | None:
    # The constraints decide; the next statement has to see who was first.
    return database("appointment").transaction(work, isolation="READ COMMITTED")
