"""Appointments that recur, at the same time on the clinic's wall."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from functions.appointment.domain.hours import instant

__all__ = ["HORIZON", "LONGEST", "Frequency", "recurrences"]

Frequency = Literal["WEEKLY", "MONTHLY"]
LONGEST = 104
"""So many appointments are one series at most: every week for two years."""
HORIZON = timedelta(days=731)
"""No appointment of a series is later than this after the first."""


def recurrences(
    first: datetime,
    zone: ZoneInfo,
    frequency: Frequency,
    *,
    interval: int = 1,
    count: int | None = None,
    until: date | None = None,
) -> list[datetime]:
    """When the appointments of a series start (UTC), ``first`` included: ``count`` of them, or
    all ``until`` a local day; LONGEST at most, and none behind HORIZON.

    As FREQ=WEEKLY or MONTHLY of RFC 5545: a month that has no such day is left out.
    """
    local = first.astimezone(zone).replace(tzinfo=None)
    last = local.date() + HORIZON
    if until is not None:
        last = min(last, until)
    found: list[datetime] = []
    for day in _days(local.date(), frequency, interval, last):
        if len(found) == min(count or LONGEST, LONGEST):
            break
        found.append(instant(datetime.combine(day, local.time()), zone))
    if found:
        # The wall shows this twice when the clocks go back; the first was told apart.
        found[0] = first
    return found


def _days(first: date, frequency: Frequency, interval: int, last: date) -> Iterator[date]:
    if frequency == "WEEKLY":
        day = first
        while day <= last:
            yield day
            day += timedelta(weeks=interval)
        return
    months = first.year * 12 + first.month - 1
    while months <= last.year * 12 + last.month - 1:
        year, month = months // 12, months % 12 + 1
        if first.day <= calendar.monthrange(year, month)[1]:
            day = date(year, month, first.day)
            if day <= last:
                yield day
        months += interval
