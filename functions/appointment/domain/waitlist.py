"""What of a freed time somebody who waits can be offered, and until when.

Who comes first is decided in ``store.wishes.waiting``: the one who waits for the longest, in days
of the clinic; among those of one day the one whose last window ends first, because there are the
fewest chances left; then the one that was first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal

from functions.appointment.domain.hours import Span, merged
from functions.appointment.domain.slots import Busy, fitting, obstacle
from shared.errors import Conflict, Gone

__all__ = [
    "MOST_WINDOWS",
    "NOTICE",
    "AlreadyBooked",
    "OfferOver",
    "OfferStatus",
    "WishOver",
    "WishStatus",
    "expiry",
    "placement",
]

NOTICE = timedelta(minutes=30)
"""What begins sooner is not offered: the patient has to read the e-mail, and to come."""

MOST_WINDOWS = 20
"""So many stretches of time one wish, or one request, may name."""

WishStatus = Literal["WAITING", "BOOKED", "WITHDRAWN", "EXPIRED"]
OfferStatus = Literal["OPEN", "ACCEPTED", "DECLINED", "EXPIRED", "WITHDRAWN"]


class OfferOver(Gone):
    """This offer was answered, withdrawn, or not answered in time."""


class AlreadyBooked(Conflict):
    """This offer was accepted: cancel the appointment instead."""


class WishOver(Conflict):
    """This wish was granted or withdrawn, or its time is over."""


def placement(
    freed: Span,
    windows: Sequence[Span],
    work: Sequence[Span],
    busy: Busy,
    duration: timedelta,
    *,
    now: datetime,
    refused: Collection[datetime] = (),
) -> Span | None:
    """The first slot of ``duration`` that lies within ``freed`` and one of ``windows`` and can be
    booked; None if there is none. ``refused``: starts that were offered before."""
    for window in merged(windows):
        common = Span(max(freed.start, window.start), min(freed.end, window.end))
        for slot in fitting(common, duration):
            if (
                slot.start >= now + NOTICE
                and slot.start not in refused
                and obstacle(slot, work, busy, now=now) is None
            ):
                return slot
    return None


def expiry(slot: Span, hold: timedelta, now: datetime) -> datetime:
    """Until when an offer of ``slot`` that is made ``now`` waits for its answer."""
    return min(now + hold, slot.start)
