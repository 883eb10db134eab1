"""The text of an iCalendar object (RFC 5545): content lines, text, moments and time zones.

An invitation goes out with every booking and consists of twenty lines that are known beforehand;
writing them directly takes a thirtieth of what it takes to build components first. What is written
here the tests read with the `icalendar` package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from functions.appointment.domain.hours import instant

__all__ = ["folded", "moment", "offset", "quoted", "stamp", "text", "time_zone"]

_LINE = 75
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BREAKS = re.compile(r"\r\n|\r")
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def text(value: str) -> str:
    """A value of type TEXT (3.3.11): nothing in it ends its property."""
    plain = _BREAKS.sub("\n", _CONTROLS.sub("", value)).replace("\\", "\\\\")
    return plain.replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def quoted(value: str) -> str:
    """A parameter's value in quotes (RFC 6868): nothing in it ends them."""
    plain = _BREAKS.sub("\n", _CONTROLS.sub("", value)).replace("^", "^^")
    return '"' + plain.replace('"', "^'").replace("\n", "^n") + '"'


def stamp(at: datetime) -> str:
    """A moment in UTC (3.3.5, form 2)."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def moment(name: str, at: datetime, zone: ZoneInfo) -> str:
    """The property ``name`` of a moment, on the wall in ``zone`` (form 3); in UTC in the hour that
    a wall shows twice, of which the standard knows only the first."""
    local = at.astimezone(zone).replace(tzinfo=None)
    if instant(local, zone) != at:
        return f"{name}:{stamp(at)}"
    return f"{name};TZID={zone.key}:{_wall(local)}"


def folded(lines: Iterable[str]) -> str:
    """Content lines as they are sent (3.1): of 75 octets at most, and never within a character."""
    return "".join(line + "\r\n" if _short(line) else _fold(line) for line in lines)


@lru_cache(maxsize=256)
def time_zone(zone: ZoneInfo, first: int, last: int) -> tuple[str, ...]:
    """The lines of a VTIMEZONE (3.6.5) that holds from the year ``first`` to the year ``last``,
    whatever rule there is: one observance for each kind of change, with the dates of all."""
    begin = datetime(first, 1, 1, tzinfo=UTC) - _DAY
    # Before and after a change: their offsets, the name, and whether it is summer time.
    changes: dict[tuple[timedelta, timedelta, str, bool], list[str]] = {}
    before = _offset(begin, zone)
    changes[(before, before, *_called(begin, zone))] = [_wall(_local(begin, before))]
    for at in _changes(zone, begin, datetime(last + 1, 1, 2, tzinfo=UTC)):
        after = _offset(at, zone)
        changes.setdefault((before, after, *_called(at, zone)), []).append(
            _wall(_local(at, before))
        )
        before = after
    lines = ["BEGIN:VTIMEZONE", f"TZID:{zone.key}"]
    for (old, new, name, summer), dates in changes.items():
        kind = "DAYLIGHT" if summer else "STANDARD"
        lines += [f"BEGIN:{kind}", f"DTSTART:{dates[0]}"]
        if dates[1:]:
            lines.append(f"RDATE:{','.join(dates[1:])}")
        lines += [f"TZOFFSETFROM:{offset(old)}", f"TZOFFSETTO:{offset(new)}"]
        lines += [f"TZNAME:{text(name)}", f"END:{kind}"]
    return (*lines, "END:VTIMEZONE")


def offset(value: timedelta) -> str:
    """A UTC-OFFSET (3.3.14)."""
    seconds = int(value.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("+", seconds)
    minutes, rest = divmod(seconds, 60)
    return f"{sign}{minutes // 60:02}{minutes % 60:02}" + (f"{rest:02}" if rest else "")


def _changes(zone: ZoneInfo, begin: datetime, end: datetime) -> Iterable[datetime]:
    """The moments at which the zone's clocks change, to the second."""
    at = begin
    while at < end:
        if _state(at, zone) == _state(at + _DAY, zone):
            at += _DAY
            continue
        before, after = at, at + _DAY
        while after - before > _SECOND:
            middle = before + _SECOND * ((after - before) // _SECOND // 2)
            if _state(middle, zone) == _state(at, zone):
                before = middle
            else:
                after = middle
        yield after
        at = after


def _state(at: datetime, zone: ZoneInfo) -> tuple[timedelta, str, bool]:
    return (_offset(at, zone), *_called(at, zone))


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _called(at: datetime, zone: ZoneInfo) -> tuple[str, bool]:
    local = at.astimezone(zone)
    return local.tzname() or "", bool(local.dst())


def _local(at: datetime, difference: timedelta) -> datetime:
    return (at + difference).replace(tzinfo=None)


def _wall(local: datetime) -> str:
    return f"{local:%Y%m%dT%H%M%S}"


def _short(line: str) -> bool:
    # A character has four octets at most; most lines need not be encoded to know.
    return len(line) <= _LINE and (line.isascii() or len(line.encode()) <= _LINE)


def _fold(line: str) -> str:
    parts, part, size = [], "", 0
    for character in line:
        octets = len(character.encode())
        if size + octets > _LINE:
            parts.append(part)
            part, size = " ", 1
        part, size = part + character, size + octets
    return "\r\n".join([*parts, part]) + "\r\n"
