"""A moment in words: the time on a clinic's wall, as Unicode CLDR 48 writes it in each language.

Its patterns are ``full`` for the date (en as in en-GB), ``short`` for the time, ``atTime`` for
both together.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

from shared.types import Language

__all__ = ["in_words", "known_zone"]

_DAYS: dict[Language, tuple[str, ...]] = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "ro": ("luni", "marți", "miercuri", "joi", "vineri", "sâmbătă", "duminică"),
    "id": ("Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu", "Minggu"),
}
_MONTHS: dict[Language, tuple[str, ...]] = {
    "en": (
        *("January", "February", "March", "April", "May", "June", "July"),
        *("August", "September", "October", "November", "December"),
    ),
    "ro": (
        *("ianuarie", "februarie", "martie", "aprilie", "mai", "iunie", "iulie"),
        *("august", "septembrie", "octombrie", "noiembrie", "decembrie"),
    ),
    "id": (
        *("Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli"),
        *("Agustus", "September", "Oktober", "November", "Desember"),
    ),
}
_PATTERNS: dict[Language, str] = {
    "en": "{weekday}, {day} {month} {year} at {hour:02}:{minute:02}",
    "ro": "{weekday}, {day} {month} {year} la {hour:02}:{minute:02}",
    "id": "{weekday}, {day:02} {month} {year} pukul {hour:02}.{minute:02}",
}


def in_words(moment: datetime, time_zone: str, language: Language) -> str:
    """``moment`` on a wall in ``time_zone`` (IANA): "Monday, 5 January 2026 at 10:00".

    Raises LookupError for a zone that is none.
    """
    there = moment.astimezone(_zone(time_zone))
    return _PATTERNS[language].format(
        weekday=_DAYS[language][there.weekday()],
        day=there.day,
        month=_MONTHS[language][there.month - 1],
        year=there.year,
        hour=there.hour,
        minute=there.minute,
    )


def known_zone(time_zone: str) -> bool:
    """Is it a time zone (IANA) of ours?"""
    try:
        _zone(time_zone)
    except LookupError:
        return False
    return True


@cache
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError) as error:
        # What is no name of a file: "..", a folder, a NUL.
        raise LookupError(type(error).__name__) from None
