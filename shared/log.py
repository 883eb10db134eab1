"""One JSON line per event on stdout, in the fields Cloud Logging understands.

``log.info("login_throttled", person=user_id)``: the first word names the event, the rest are
facts. Every line carries the correlation id of the request or message at hand. Values under a
telling key, and anything that looks like an e-mail address, a token or a national id, are
blotted out: a log line may be read by people who may not read the record.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

__all__ = [
    "causation_id",
    "context",
    "correlation_id",
    "error",
    "info",
    "redact",
    "traceparent",
    "warning",
]

correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
causation_id: ContextVar[str | None] = ContextVar("causation_id", default=None)
traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)

_TELLING = re.compile(
    r"password|token|secret|authorization|cookie|national_id|cnp|nik|e?mail|phone|first_name|last_name",
    re.IGNORECASE,
)
# An address, a JWT, a CNP (13 digits) or NIK (16 digits) standing alone, a bearer header.
_PERSONAL = re.compile(
    r"[^\s@\"'<>]+@[^\s@\"'<>]+\.[^\s@\"'<>]+"
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]*"
    r"|(?<![\d-])\d{13}(?:\d{3})?(?![\d-])"
    r"|Bearer\s+\S+"
)
_BLOT = "[redacted]"
_lock = threading.Lock()


def redact(value: Any, key: str = "") -> Any:
    """``value`` as JSON-ready data with personal and secret parts blotted out."""
    if isinstance(value, dict):
        return {str(k): redact(v, str(k)) for k, v in value.items()}
    if value is None or isinstance(value, bool | int | float):
        return _BLOT if _TELLING.search(key) and not isinstance(value, bool | None) else value
    if _TELLING.search(key):
        return _BLOT
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    return _PERSONAL.sub(_BLOT, str(value))


@contextmanager
def context(
    *, correlation: str | None, causation: str | None = None, trace: str | None = None
) -> Iterator[None]:
    """Set the ids that every line and every emitted message of this block carries."""
    tokens = (
        correlation_id.set(correlation),
        causation_id.set(causation),
        traceparent.set(trace),
    )
    try:
        yield
    finally:
        correlation_id.reset(tokens[0])
        causation_id.reset(tokens[1])
        traceparent.reset(tokens[2])


def info(event: str, **facts: Any) -> None:
    """Something worth counting happened."""
    _write("INFO", event, facts)


def warning(event: str, **facts: Any) -> None:
    """Something went wrong that the system mends by itself."""
    _write("WARNING", event, facts)


def error(event: str, *, exc: BaseException | None = None, **facts: Any) -> None:
    """Something needs a person; ``exc`` adds its stack (messages redacted)."""
    if exc is not None:
        facts["exception"] = "".join(traceback.format_exception(exc))
    _write("ERROR", event, facts)


def _write(severity: str, event: str, facts: dict[str, Any]) -> None:
    line = {
        "severity": severity,
        "message": event,
        "timestamp": datetime.now(UTC).isoformat(timespec="microseconds"),
        "correlation_id": correlation_id.get(),
        "causation_id": causation_id.get(),
        "logging.googleapis.com/trace": _trace_id(),
        **redact(facts),
    }
    text = json.dumps({k: v for k, v in line.items() if v is not None}, ensure_ascii=False)
    with _lock:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _trace_id() -> str | None:
    parent = traceparent.get()
    return parent.split("-")[1] if parent else None
