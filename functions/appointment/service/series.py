"""Appointments that recur: all of them or those that are possible, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from functions.appointment.domain import slots
from functions.appointment.domain.hours import Span
from functions.appointment.domain.refusals import NotBookable, SeriesConflict
from functions.appointment.domain.series import Frequency, recurrences
from functions.appointment.domain.slots import Reason
from functions.appointment.domain.visits import Visit
from functions.appointment.service.booking import Order, schedule_for, try_place, within_reach
from functions.appointment.service.scope import Scope
from functions.appointment.store import availability
from functions.appointment.store.availability import Schedule
from functions.appointment.store.slots import alone
from shared.clocks import clock
from shared.db import Tx
from shared.errors import Forbidden
from shared.known_people import must_be_patient
from shared.runtime import database
from shared.types import uuid7

__all__ = ["Outcome", "Rule", "book"]

Conflicts = list[tuple[datetime, Reason]]


@dataclass(frozen=True, slots=True)
class Rule:
    """How an appointment recurs: ``count`` times, or ``until`` a day at the clinic."""

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a series; in a dry run nothing is ``booked``, and ``series_id`` is None."""

    series_id: UUID | None
    time_zone: str
    possible: list[Span]
    booked: list[Visit]
    conflicts: Conflicts


def book(order: Order, rule: Rule, scope: Scope, *, skip: bool, dry_run: bool) -> Outcome:
    """Book ``order`` and what recurs of it, as staff of its clinic. ``skip``: leave out what is
    not possible; else that refuses all. ``dry_run`` books nothing and says what would be.

    Raises NotFound, Forbidden, NotBookable, SeriesConflict, PersonErased, Unavailable.
    """
    must_be_patient("appointment", order.patient_id)

    def work(tx: Tx) -> Outcome:
        first = schedule_for(tx, order, alone(order.practitioner_id))
        if not scope.staff_at(first.clinic_id):
            raise Forbidden("A series is booked at its clinic.")
        if not first.bookable:
            raise NotBookable
        # One that has begun today is a conflict like others.
        within_reach(tx, order, since=clock().now() - timedelta(days=1))
        schedule, starts = _dates(tx, order, rule, first)
        possible, conflicts = _judged(tx, order, schedule, starts)
        if dry_run:
            return Outcome(None, schedule.zone.key, possible, [], conflicts)
        booked: list[Visit] = []
        series_id = uuid7()
        for span in possible if skip or not conflicts else ():
            wanted = replace(order, starts_at=span.start)
            made = try_place(tx, wanted, schedule, scope, series_id=series_id)
            if isinstance(made, Visit):
                booked.append(made)
            else:
                conflicts.append((span.start, made))
        if not booked or (conflicts and not skip):
            raise SeriesConflict(conflicts=shown(conflicts))
        return Outcome(series_id, schedule.zone.key, possible, booked, sorted(conflicts))

    return database("appointment").transaction(work, isolation="READ COMMITTED")


def shown(conflicts: Conflicts) -> list[dict[str, object]]:
    """What was not possible, and why, as members of an answer."""
    return [{"starts_at": start, "reason": reason} for start, reason in conflicts]


def _dates(tx: Tx, order: Order, rule: Rule, first: Schedule) -> tuple[Schedule, list[datetime]]:
    starts = recurrences(
        order.starts_at,
        first.zone,
        rule.frequency,
        interval=rule.interval,
        count=rule.count,
        until=rule.until,
    )
    whole = schedule_for(tx, order, until=starts[-1]) if len(starts) > 1 else first
    return whole, starts


def _judged(
    tx: Tx, order: Order, schedule: Schedule, starts: list[datetime]
) -> tuple[list[Span], Conflicts]:
    """What is possible as of now, and what is not."""
    possible: list[Span] = []
    conflicts: Conflicts = []
    if not starts:
        return possible, conflicts
    window = Span(starts[0], schedule.slot(starts[-1]).end)
    busy = availability.busy(tx, order.wish, schedule, window)
    for start in starts:
        slot = schedule.slot(start)
        reason = slots.obstacle(slot, schedule.work, busy, now=clock().now())
        if reason is None:
            possible.append(slot)
        else:
            conflicts.append((start, reason))
    return possible, conflicts
