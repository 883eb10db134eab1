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
from functools import lru_cache
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
_LONG_NUMBER = re.compile(r"\d{13}")
_BLOT = "[redacted]"
# json.dumps would make one for every line.
_encode = json.JSONEncoder(ensure_ascii=False).encode
_lock = threading.Lock()


def redact(value: Any, key: str = "") -> Any:
    """``value`` as JSON-ready data with personal and secret parts blotted out."""
    if isinstance(value, dict):
        return {str(k): redact(v, str(k)) for k, v in value.items()}
    if value is None or isinstance(value, bool):
        return value
    if key and _telling(key):
        return _BLOT
    if isinstance(value, int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    text = str(value)
    # What the pattern finds has one of these; looking for them first is several times cheaper.
    suspect = "@" in text or "eyJ" in text or "Bearer" in text or _LONG_NUMBER.search(text)
    return _PERSONAL.sub(_BLOT, text) if suspect else text


@lru_cache(maxsize=512)
def _telling(key: str) -> bool:
    """Keys are words of the program: few, and the same again and again."""
    return _TELLING.search(key) is not None


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
    text = _encode({k: v for k, v in line.items() if v is not None}) + "\n"
    with _lock:
        sys.stdout.write(text)
        sys.stdout.flush()


def _trace_id() -> str | None:
    parent = traceparent.get()
    return parent.split("-")[1] if parent else None
