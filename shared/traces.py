"""Spans: one per request and per message, each a child of what caused it (W3C Trace Context).

A span's own id goes out with everything done in it: ``log.traceparent`` is in log lines, in emitted
messages and in calls of other services. So a trace holds together without any exporter; where there
is one, it finds the ended spans here.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections import deque
from contextvars import Token
from types import TracebackType
from typing import Literal

from shared import log, telemetry

__all__ = ["Span", "collect", "observe", "parsed", "taken"]

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MOST_WAITING = 4096


def parsed(traceparent: str | None) -> tuple[str, str, int] | None:
    """(trace id, span id, sampled flag), or None for what is malformed: it starts a new trace."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    known = version != "ff" and (version != "00" or more is None)
    if known and trace.strip("0") and span.strip("0"):
        return trace, span, int(flags, 16) & 1
    return None


class Span:
    """Something with a beginning and an end: ``with Span(...)``. Attributes are never personal."""

    __slots__ = (
        "_token",
        "attributes",
        "began",
        "ended",
        "failed",
        "kind",
        "name",
        "parent",
        "sampled",
        "service",
        "span",
        "trace",
    )

    def __init__(
        self,
        name: str,
        kind: Literal["server", "consumer"],
        traceparent: str | None,
        **attributes: str | int,
    ) -> None:
        """``traceparent``: the cause's. Its sampled flag is followed."""
        self.name, self.kind = name, kind
        self.attributes = attributes
        self.failed = False
        cause = parsed(traceparent)
        # An id need not be hard to guess, and the generator is seeded anew in each child.
        self.span = f"{random.getrandbits(64) or 1:016x}"  # nosec B311
        if cause is None:
            self.trace = f"{random.getrandbits(128) or 1:032x}"  # nosec B311
            self.parent: str | None = None
            self.sampled = _waiting is not None
        else:
            self.trace, self.parent, flag = cause
            self.sampled = flag == 1
        self.began = self.ended = 0
        self.service = ""
        self._token: Token[str | None] | None = None

    @property
    def traceparent(self) -> str:
        """What the effects of this span carry."""
        return f"00-{self.trace}-{self.span}-{'01' if self.sampled else '00'}"

    def __enter__(self) -> Span:
        self._token = log.traceparent.set(self.traceparent)
        if _waiting is not None:
            self.began = time.time_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> None:
        if self._token is not None:
            log.traceparent.reset(self._token)
        if _waiting is None or not self.sampled or not self.began:
            return
        self.ended = time.time_ns()
        self.failed = self.failed or error is not None
        self.service = telemetry.serving_name.get()
        with _lock:
            if len(_waiting) >= _MOST_WAITING:
                _waiting.popleft()
                dropped = True
            else:
                dropped = False
            _waiting.append(self)
        if dropped:
            telemetry.counted("dentalhelp.telemetry.dropped", signal="span")


def observe(span: Span, method: str, route: str | None, status: int, seconds: float) -> None:
    """A request was answered: its duration, and what its span is called."""
    facts: dict[str, str | int] = {
        "http_request_method": method,
        "http_response_status_code": status,
    }
    if route is not None:
        facts["http_route"] = route
    if status >= 500:
        facts["error_type"] = str(status)
        span.failed = True
    telemetry.timed("http.server.request.duration", seconds, **facts)
    if _waiting is not None:
        span.name = method if route is None else f"{method} {route}"
        span.attributes = facts


_lock = threading.Lock()
_waiting: deque[Span] | None = None


def collect() -> None:
    """Keep the spans that end from now on, up to a limit, until ``taken``."""
    global _waiting
    if _waiting is None:
        _waiting = deque()


def taken() -> list[Span]:
    """The spans that have ended since it was called before."""
    with _lock:
        spans = list(_waiting or ())
        if _waiting:
            _waiting.clear()
    return spans


def _begin() -> None:
    global _lock
    _lock = threading.Lock()
    if _waiting:
        _waiting.clear()


# What the parent did, the parent tells.
os.register_at_fork(after_in_child=_begin)
