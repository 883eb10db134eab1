"""Which slots are free, and why one is not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from functions.appointment.domain.hours import Span, within

__all__ = ["STEP", "Busy", "Reason", "fitting", "free", "obstacle", "offered", "on_grid"]

STEP = timedelta(minutes=15)
"""Slots are offered at each quarter of an hour: on every wall, as time zones differ by quarters."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Reason = Literal["PAST", "TOO_FAR", "OUTSIDE_HOURS", "OFF_GRID", "PRACTITIONER", "PATIENT", "CHAIR"]
"""Why a slot cannot be booked."""


@dataclass(frozen=True, slots=True)
class Busy:
    """What is taken already. The spans of each list are sorted and do not overlap."""

    practitioner: Sequence[Span] = ()
    patient: Sequence[Span] = ()
    chairs: Sequence[Sequence[Span]] | None = None
    """For each chair that would do; None where none is needed."""

    def obstacle(self, slot: Span) -> Reason | None:
        """Who or what has no time for ``slot``."""
        if _taken(slot, self.practitioner):
            return "PRACTITIONER"
        if _taken(slot, self.patient):
            return "PATIENT"
        if self.chairs is not None and all(_taken(slot, taken) for taken in self.chairs):
            return "CHAIR"
        return None


def offered(work: Sequence[Span], duration: timedelta) -> Iterator[Span]:
    """The slots of ``duration`` that fit into ``work``, in order, whether free or not."""
    for span in work:
        yield from fitting(Span(span.start + (_EPOCH - span.start) % STEP, span.end), duration)


def fitting(span: Span, duration: timedelta) -> Iterator[Span]:
    """Slots of ``duration`` from the very start of ``span``, a STEP apart, as long as they fit."""
    start = span.start
    while start + duration <= span.end:
        yield Span(start, start + duration)
        start += STEP


def free(work: Sequence[Span], busy: Busy, duration: timedelta, *, now: datetime) -> Iterator[Span]:
    """The slots of ``duration`` that can be booked, in order."""
    for slot in offered(work, duration):
        if slot.start >= now and busy.obstacle(slot) is None:
            yield slot


def on_grid(start: datetime) -> bool:
    """May a slot that is offered begin then?"""
    return (start - _EPOCH) % STEP == timedelta()


def obstacle(slot: Span, work: Sequence[Span], busy: Busy, *, now: datetime) -> Reason | None:
    """Why ``slot`` cannot be booked; None if it can."""
    if slot.start < now:
        return "PAST"
    return busy.obstacle(slot) if within(slot, work) else "OUTSIDE_HOURS"


def _taken(slot: Span, taken: Sequence[Span]) -> bool:
    # Only the last one that begins before the slot ends can reach into it.
    at = bisect_left(taken, (slot.end,))
    return at > 0 and taken[at - 1].end > slot.start
