"""Finding free slots."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice, takewhile
from uuid import UUID
from zoneinfo import ZoneInfo

from functions.appointment.domain import slots
from functions.appointment.domain.hours import Span
from functions.appointment.store import availability
from functions.appointment.store.availability import Schedule, Wish
from shared.clocks import clock
from shared.db import Database, Tx
from shared.errors import Invalid, NotFound
from shared.runtime import database

__all__ = ["FARTHEST", "LONGEST_WINDOW", "free_slots", "next_free"]

FARTHEST = timedelta(days=731)
"""Nothing is booked further ahead; a series may go on for as long."""
LONGEST_WINDOW = timedelta(days=31)
_LOOK_AHEAD = timedelta(days=30)
_LONGEST_SLOT = timedelta(days=1)
_NEXT = 3


def free_slots(
    practitioner_id: UUID, type_id: UUID, since: datetime, until: datetime, patient_id: UUID | None
) -> tuple[ZoneInfo, list[Span]]:
    """The clinic's time zone and what can be booked between two moments, where ``patient_id`` has
    time, too. Raises NotFound, Invalid."""
    now = clock().now()
    if since >= until or until - since > LONGEST_WINDOW or until > now + FARTHEST:
        raise Invalid(
            errors=[{"parameter": "to", "detail": "Within 31 days after from, and two years"}]
        )
    start = max(since, now)
    window = Span(start, max(start, until))
    wish = Wish(practitioner_id, type_id, patient_id)
    db = database("appointment")
    schedule = availability.read(db, wish, _whole(window))
    if schedule is None or not schedule.bookable:
        raise NotFound("There is no such type of appointment, or nobody who offers it.")
    return schedule.zone, _free(db, wish, schedule, window)


def next_free(source: Database | Tx, wish: Wish, since: datetime, count: int = _NEXT) -> list[Span]:
    """The first free slots from ``since`` on, within a month."""
    start = max(since, clock().now())
    window = Span(start, start + _LOOK_AHEAD)
    schedule = availability.read(source, wish, _whole(window))
    if schedule is None or not schedule.bookable:
        return []
    return _free(source, wish, schedule, window, count)


def _free(
    source: Database | Tx,
    wish: Wish,
    schedule: Schedule,
    window: Span,
    count: int | None = None,
) -> list[Span]:
    if not schedule.work:
        return []
    whole = _whole(window)
    busy = availability.busy(source, wish, schedule, whole)
    found = slots.free(schedule.work, busy, schedule.duration, now=window.start)
    return list(islice(takewhile(lambda slot: slot.start < window.end, found), count))


def _whole(window: Span) -> Span:
    """Slots that begin in ``window`` end in this one."""
    return Span(window.start, window.end + _LONGEST_SLOT)
