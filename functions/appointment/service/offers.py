"""Offering freed time to those who wait: to one after the other, each with an expiring hold.

Freed time is noted in the transaction that frees it. Whoever is first is asked as soon as that has
committed, or by the schedule. An offer that is declined or not answered in time has the freed time
looked at again, and what else that patient waits for; a new wish has so, too. Every five minutes so
is what nobody could take, because people and chairs become free in other ways, too. Time that
nobody is asked about is free like any other: it is held only while somebody decides.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from functions.appointment.domain.hours import Span, minus
from functions.appointment.domain.slots import Busy
from functions.appointment.domain.waitlist import NOTICE, expiry, placement
from functions.appointment.service.links import offer_link
from functions.appointment.store import availability, holds, offers, settings, slots, wishes
from functions.appointment.store.availability import Wish
from functions.appointment.store.hooks import when_freed
from functions.appointment.store.slots import Slot
from functions.appointment.store.windows import spans
from shared import audit
from shared.clocks import clock
from shared.contracts.appointment import WaitlistOfferExpired, WaitlistSlotOffered
from shared.db import Row, Tx
from shared.privacy import PersonErased, alive
from shared.runtime import database
from shared.types import uuid7

__all__ = ["ask_again", "hand_on", "offer_due"]

_AGAIN = timedelta(minutes=5)
_AROUND = timedelta(days=1)
_BUDGET_S = 20.0


@dataclass(frozen=True, slots=True)
class _Freed:
    """Freed time while it is looked at."""

    id: UUID
    clinic_id: UUID
    practitioner_id: UUID
    span: Span
    time_zone: str
    hold: timedelta
    now: datetime

    @property
    def coming(self) -> bool:
        """Is there anything left to offer?"""
        return self.span.end > self.now + NOTICE


@when_freed
def note(tx: Tx, slot: Slot) -> None:
    """Somebody may be waiting for this."""
    now = clock().now()
    hand_on(tx, offers.note_freed(tx, slot.clinic_id, slot.practitioner_id, slot.span, now))


def hand_on(tx: Tx, freed_id: UUID) -> None:
    """Look for somebody once this has committed; the schedule does it if this process dies."""
    offers.look_again(tx, freed_id, clock().now())
    tx.after(lambda: _look(freed_id))


def ask_again(tx: Tx, patient_id: UUID) -> None:
    """Whose offer ends here can be asked about another slot once this has committed."""
    db = database("appointment")
    tx.after(lambda: offers.look_for_patient(db, patient_id, clock().now()))


def offer_due() -> int:
    """End what was not answered in time, and ask the next; how many offers were made."""
    db, until, made = database("appointment"), time.monotonic() + _BUDGET_S, 0
    db.transaction(_expire)
    while time.monotonic() < until:
        due = offers.due(db, clock().now())
        for freed_id in due:
            made += _look(freed_id)
        if not due:
            break
    return made


def _expire(tx: Tx) -> None:
    for patient_id in wishes.expire(tx, clock().now()):
        audit.record(tx, patient_id, "write", "waitlist wish")


def _look(freed_id: UUID) -> int:
    def work(tx: Tx) -> int:
        freed = _lock(tx, freed_id)
        if freed is None:
            return 0
        following = [offer["expires_at"] for offer in _open(tx, freed)]
        made = []
        if freed.coming:
            made = _ask(tx, freed)
            following += [*made, freed.now + _AGAIN]
        offers.look_again(tx, freed_id, min(following, default=None))
        return len(made)

    # Under READ COMMITTED each statement sees who was first: store/slots.py.
    return database("appointment").transaction(work, isolation="READ COMMITTED")


def _lock(tx: Tx, freed_id: UUID) -> _Freed | None:
    """The freed time, if it is to be looked at now."""
    now = clock().now()
    row = offers.lock_freed(tx, freed_id)
    if row is None or row["look_at"] is None or row["look_at"] > now:
        return None
    clinic = settings.show(tx, row["clinic_id"])
    if clinic is None:
        raise LookupError("freed time belongs to a clinic")
    return _Freed(
        freed_id,
        row["clinic_id"],
        row["practitioner_id"],
        Span(row["starts_at"], row["ends_at"]),
        clinic["time_zone"],
        timedelta(minutes=clinic["offer_minutes"]),
        now,
    )


def _open(tx: Tx, freed: _Freed) -> list[Row]:
    """The offers that still wait for an answer; those whose time is over end here."""
    waiting = []
    for offer in offers.open_in(tx, freed.id):
        if offer["expires_at"] > freed.now:
            waiting.append(offer)
            continue
        offer_id, patient_id = offer["offer_id"], offer["patient_id"]
        version = offers.end(tx, offer_id, "EXPIRED", freed.now)
        slots.release(tx, offer_id)
        ask_again(tx, patient_id)
        audit.record(tx, patient_id, "write", "waitlist offer")
        tx.emit(
            WaitlistOfferExpired(
                offer_id=offer_id, wish_id=offer["wish_id"], patient_id=patient_id
            ),
            version=version,
        )
    return waiting


def _ask(tx: Tx, freed: _Freed) -> list[datetime]:
    """Offer what is free of the freed time, the first first; when these offers expire."""
    made: list[datetime] = []
    left = _left(tx, freed)
    for wish in wishes.waiting(tx, freed.clinic_id, freed.practitioner_id, freed.span):
        # Hundreds may wait for what was booked again long ago: that costs no look at each.
        if not _placed(freed, wish, left, Busy(), timedelta(minutes=wish["duration_minutes"])):
            continue
        expires_at = _offer(tx, freed, wish)
        if expires_at is not None:
            made.append(expires_at)
            left = _left(tx, freed)
    return made


def _left(tx: Tx, freed: _Freed) -> list[Span]:
    return minus([freed.span], slots.taken(tx, freed.practitioner_id, freed.span))


def _placed(
    freed: _Freed, wish: Row, work: Sequence[Span], busy: Busy, duration: timedelta
) -> Span | None:
    refused = {datetime.fromisoformat(start) for start in wish["offered"]}
    windows = spans(wish["windows"])
    return placement(freed.span, windows, work, busy, duration, now=freed.now, refused=refused)


def _offer(tx: Tx, freed: _Freed, wish: Row) -> datetime | None:
    asked = Wish(freed.practitioner_id, wish["type_id"], wish["patient_id"])
    window = Span(freed.span.start - _AROUND, freed.span.end + _AROUND)
    schedule = availability.read(tx, asked, window)
    if schedule is None or not schedule.bookable:
        return None
    busy = availability.busy(tx, asked, schedule, window)
    found = _placed(freed, wish, schedule.work, busy, schedule.duration)
    if found is None:
        return None
    try:
        alive(tx, wish["patient_id"])
    except PersonErased:
        return None
    return _make(tx, freed, wish, found, needs_chair=schedule.needs_chair)


def _make(tx: Tx, freed: _Freed, wish: Row, found: Span, *, needs_chair: bool) -> datetime | None:
    """Hold the slot and tell the patient; None where somebody was faster, or withdrew."""
    locked = wishes.lock(tx, wish["wish_id"])
    if locked is None or locked["status"] != "WAITING":
        return None
    slot = Slot(
        uuid7(),
        "OFFER",
        freed.clinic_id,
        freed.practitioner_id,
        wish["patient_id"],
        None,
        *found,
    )
    if not holds.hold(tx, slot, needs_chair=needs_chair):
        return None
    offer = {
        "offer_id": slot.slot_id,
        "wish_id": wish["wish_id"],
        "patient_id": slot.patient_id,
        "clinic_id": slot.clinic_id,
        "practitioner_id": slot.practitioner_id,
        "type_id": wish["type_id"],
        "starts_at": slot.starts_at,
        "ends_at": slot.ends_at,
        "expires_at": expiry(found, freed.hold, freed.now),
    }
    if not offers.insert(tx, {**offer, "freed_id": freed.id, "made_at": freed.now}):
        slots.release(tx, slot.slot_id)
        return None
    audit.record(tx, slot.patient_id, "create", "waitlist offer")
    message = WaitlistSlotOffered.model_validate(
        {
            **offer,
            "time_zone": freed.time_zone,
            "link": offer_link(slot.slot_id, offer["expires_at"]),
        }
    )
    tx.emit(message, version=1)
    return message.expires_at
