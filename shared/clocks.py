"""Time: the wall clock behind a seam, and the hybrid logical clock that stamps messages.

The hybrid clock is Lamport's rule with physical time (Kulkarni et al., "Logical Physical
Clocks", 2014): a stamp is later than every stamp this process made or saw before it, and as
close to physical time as that allows. It keeps nothing on disk. An instance that is born after
another one died learns what it must be later than from the message or the row in its hands.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "Hlc", "SystemClock", "clock", "hlc", "moment", "set_clock"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST_COUNT = 9999
_STAMP = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z)-(\d{4})", re.ASCII)


class Clock(Protocol):
    """Where "now" comes from."""

    def now(self) -> datetime:
        """The present, aware and in UTC."""
        ...


class SystemClock:
    """The operating system's clock."""

    def now(self) -> datetime:
        """The present, aware and in UTC, to the microsecond."""
        return datetime.now(UTC)


_clock: Clock = SystemClock()


def clock() -> Clock:
    """The clock of this process."""
    return _clock


def set_clock(new: Clock) -> Clock:
    """Make ``new`` the clock of this process (tests) and return the one it replaces."""
    global _clock
    old, _clock = _clock, new
    return old


class Hlc:
    """A hybrid logical clock; safe to share between threads.

    Stamps look like ``2026-01-15T10:30:00.123Z-0007`` (milliseconds in UTC, then a counter for
    events within one millisecond) and sort as text.
    """

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        """``now`` overrides the process's clock, for simulations of several instances."""
        self._now = now or (lambda: clock().now())
        self._lock = threading.Lock()
        self._last = (0, 0)

    def tick(self) -> str:
        """A stamp for something that happens now: later than all made or observed before."""
        present = (self._now() - _EPOCH) // _MILLISECOND
        with self._lock:
            ms, count = self._last
            if present > ms:
                ms, count = present, 0
            elif count == _LAST_COUNT:
                ms, count = ms + 1, 0
            else:
                count += 1
            self._last = ms, count
        return _text(ms, count)

    def observe(self, stamp: str) -> None:
        """Learn of ``stamp``: every later ``tick`` exceeds it, however far ahead it is.

        Call it for each message before it is handled and for each stamp read from a row that
        another instance may have written. Raises ValueError if ``stamp`` is malformed.
        """
        seen = _parse(stamp)
        with self._lock:
            self._last = max(self._last, seen)


_hlc = Hlc()


def hlc() -> Hlc:
    """The hybrid clock of this process."""
    return _hlc


def moment(stamp: str) -> datetime:
    """When ``stamp`` was made, by the clock of who made it. Raises ValueError."""
    return _EPOCH + _parse(stamp)[0] * _MILLISECOND


def _text(ms: int, count: int) -> str:
    moment = _EPOCH + ms * _MILLISECOND
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z-{count:04d}"


def _parse(stamp: str) -> tuple[int, int]:
    match = _STAMP.fullmatch(stamp)
    if match is None:
        raise ValueError("not a hybrid clock stamp")
    moment = datetime.fromisoformat(match[1])
    if moment >= _LIMIT:
        raise ValueError("a hybrid clock stamp beyond the year 9998")
    return (moment - _EPOCH) // _MILLISECOND, int(match[2])


# One year of room for ticks after the latest stamp that is accepted.
_LIMIT = datetime(9999, 1, 1, tzinfo=UTC)
