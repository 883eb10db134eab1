"""When a practitioner works: weekly hours and exceptions on a clinic's wall, as spans of time.

Wall times become instants by RFC 5545 (3.3.5): one that a change to summer time skips counts
with the offset from before the change, one that the change back repeats is the first of the two.
From there on only instants are compared, so an hour that is skipped or repeated is neither worked
twice nor lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

__all__ = [
    "MINUTES_OF_DAY",
    "ExceptionKind",
    "Exceptional",
    "Span",
    "Weekly",
    "flaw",
    "instant",
    "merged",
    "minus",
    "within",
    "working",
]

MINUTES_OF_DAY = 24 * 60
ExceptionKind = Literal["HOLIDAY", "LEAVE", "EXTRA_HOURS"]


class Span(NamedTuple):
    """From ``start`` until just before ``end``; aware."""

    start: datetime
    end: datetime

    def overlaps(self, other: Span) -> bool:
        """Do the two share any moment?"""
        return self.start < other.end and other.start < self.end


class Weekly(NamedTuple):
    """Work on each ``weekday`` (1 is Monday: ISO 8601), in minutes of the local day, apart from
    the ``breaks``."""

    weekday: int
    start: int
    end: int
    breaks: Sequence[Sequence[int]] = ()

    def parts(self) -> Iterator[tuple[int, int]]:
        """What is worked between the breaks."""
        start = self.start
        for away, back in sorted((first, last) for first, last in self.breaks):
            yield start, away
            start = back
        yield start, self.end


@dataclass(frozen=True, slots=True)
class Exceptional:
    """What differs from the weekly hours, in local time (naive)."""

    kind: ExceptionKind
    start: datetime
    end: datetime


def flaw(weekly: Sequence[Weekly]) -> str | None:
    """What is wrong with weekly hours; None if nothing is."""
    if any(hours.start >= hours.end for hours in weekly):
        return "each part of a day ends after it begins"
    if any(away >= back for hours in weekly for away, back in hours.breaks):
        return "each break ends after it begins"
    worked = sorted((hours.weekday, *part) for hours in weekly for part in hours.parts())
    if any(start > end for _, start, end in worked):
        return "the breaks of a part lie in it, one after the other"
    if any(a[0] == b[0] and b[1] < a[2] for a, b in pairwise(worked)):
        return "two parts of a day overlap"
    return None


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment (UTC) at which a clock on the wall in ``zone`` shows ``local``, by RFC 5545."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def working(
    weekly: Sequence[Weekly], exceptions: Iterable[Exceptional], zone: ZoneInfo, window: Span
) -> list[Span]:
    """The spans within ``window`` in which work is done, sorted and apart from each other.

    A holiday takes the weekly hours away, extra hours add some (on a holiday, too), and leave
    takes away both.
    """
    by_kind: dict[ExceptionKind, list[Span]] = {"HOLIDAY": [], "LEAVE": [], "EXTRA_HOURS": []}
    for one in exceptions:
        span = Span(instant(one.start, zone), instant(one.end, zone))
        if span.start < span.end:
            by_kind[one.kind].append(span)
    usual = merged(_weekly(weekly, zone, window))
    open_ = merged([*minus(usual, by_kind["HOLIDAY"]), *by_kind["EXTRA_HOURS"]])
    return [
        Span(max(span.start, window.start), min(span.end, window.end))
        for span in minus(open_, by_kind["LEAVE"])
        if span.overlaps(window)
    ]


def within(span: Span, spans: Iterable[Span]) -> bool:
    """Does the whole of ``span`` lie in one of ``spans``?"""
    return any(one.start <= span.start and span.end <= one.end for one in spans)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same moments as sorted spans that neither overlap nor touch."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def minus(spans: Iterable[Span], away: Iterable[Span]) -> list[Span]:
    """The moments of ``spans`` (sorted, apart) that are in none of ``away``."""
    gone = merged(away)
    found: list[Span] = []
    for span in spans:
        start = span.start
        for hole in gone:
            if hole.end <= start:
                continue
            if hole.start >= span.end:
                break
            if start < hole.start:
                found.append(Span(start, hole.start))
            start = hole.end
        if start < span.end:
            found.append(Span(start, span.end))
    return found


def _weekly(weekly: Sequence[Weekly], zone: ZoneInfo, window: Span) -> Iterator[Span]:
    for day in _days(window.start.astimezone(zone).date(), window.end.astimezone(zone).date()):
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 -- on the wall
        for hours in weekly:
            if hours.weekday == day.isoweekday():
                for first, last in hours.parts():
                    start = instant(midnight + timedelta(minutes=first), zone)
                    end = instant(midnight + timedelta(minutes=last), zone)
                    if start < end:
                        yield Span(start, end)


def _days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)
