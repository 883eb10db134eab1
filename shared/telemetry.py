"""Counters, durations and gauges: what the service levels are judged by.

``counted("dentalhelp.mail.sent", outcome="sent")`` costs about a microsecond and no library: the
figures are kept here, per process, and shown or sent by others (shared/telemetry_routes.py,
shared/telemetry_otlp.py). Attributes are words of the program: never an id, never personal.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from shared.clocks import clock

if TYPE_CHECKING:
    from shared.db import Database
    from shared.messages import Envelope

__all__ = [
    "METRICS",
    "Attributes",
    "Distribution",
    "Figures",
    "Gauges",
    "Metric",
    "counted",
    "figures",
    "handled",
    "instance",
    "services",
    "serving_name",
    "started_at",
    "timed",
]

_MOST_SERIES = 1000  # for each metric; OpenTelemetry's SDKs allow 2,000
_OVERFLOW = (("otel_metric_overflow", "true"),)

Attributes = tuple[tuple[str, str | int], ...]
"""Sorted by name, so that one set of attributes has one spelling."""
Gauges = Callable[["Database"], Mapping[str, float | None]]
"""Reads gauges of a service from its database: name -> value, None where there is none."""

# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ asks for these.
_REQUEST = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# From what is usual (5 ms) over every target to what wakes somebody.
_DELAY = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0)
_LONG = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0, 86400.0)


@dataclass(frozen=True)
class Metric:
    """What a figure is. ``bounds``: of a histogram's buckets, in seconds."""

    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    about: str
    bounds: Sequence[float] = ()


METRICS: dict[str, Metric] = {
    "http.server.request.duration": Metric(
        "histogram", "s", "Duration of HTTP server requests.", _REQUEST
    ),
    "dentalhelp.message.latency": Metric(
        "histogram", "s", "From the moment a message was emitted until it was handled here.", _DELAY
    ),
    "dentalhelp.saga.duration": Metric(
        "histogram", "s", "From the start of a saga to its end.", _LONG
    ),
    "dentalhelp.erasure.duration": Metric(
        "histogram", "s", "From the request of an erasure to the last service's answer.", _LONG
    ),
    "dentalhelp.erasure.overdue": Metric(
        "counter", "{request}", "Services that were asked again for an erasure."
    ),
    "dentalhelp.validation.checks": Metric("counter", "{check}", "Checks of what has to agree."),
    "dentalhelp.validation.violations": Metric(
        "counter", "{violation}", "What did not agree when it was checked."
    ),
    "dentalhelp.exports": Metric("counter", "{export}", "Archives of exports, by their outcome."),
    "dentalhelp.email.replica.lag": Metric(
        "histogram", "s", "From a change of an e-mail address to its replica.", _DELAY
    ),
    "dentalhelp.mail.sent": Metric("counter", "{mail}", "Attempts to hand over an e-mail."),
    "dentalhelp.outbox.unpublished": Metric(
        "counter", "{batch}", "Batches the bus did not take at once; the sweeper sends them."
    ),
    "dentalhelp.telemetry.dropped": Metric(
        "counter", "{item}", "Spans and exports that never reached the collector."
    ),
    "dentalhelp.outbox.rows": Metric("gauge", "{message}", "Messages not published yet."),
    "dentalhelp.outbox.age": Metric("gauge", "s", "Age of the oldest message not published yet."),
    "dentalhelp.dead_letters": Metric("gauge", "{message}", "Messages that were given up."),
    "dentalhelp.sagas.parked": Metric("gauge", "{saga}", "Sagas that wait for a person."),
    "dentalhelp.projection.lag": Metric(
        "gauge", "s", "Age of the oldest event that a projection has not applied."
    ),
    "dentalhelp.events.gate.age": Metric(
        "gauge", "s", "Age of the oldest event that readers may not see yet."
    ),
    "dentalhelp.events.gate.lag": Metric(
        "gauge", "{transaction}", "Transaction ids from the oldest open one to the newest."
    ),
    "dentalhelp.transactions.prepared": Metric(
        "gauge", "{transaction}", "Prepared transactions of the instance."
    ),
    "dentalhelp.transactions.prepared.age": Metric(
        "gauge", "s", "Age of the oldest prepared transaction."
    ),
    "dentalhelp.audit.unsealed.age": Metric("gauge", "s", "Age of the oldest unsealed audit row."),
    "dentalhelp.erasures.unanswered": Metric(
        "gauge", "{service}", "Services that have not answered an erasure."
    ),
    "dentalhelp.erasures.unanswered.age": Metric(
        "gauge", "s", "Age of the oldest erasure that is not answered."
    ),
}
"""Every figure there is; others are not kept. A test compares it with the code."""

serving_name: ContextVar[str] = ContextVar("serving_name", default="unknown")
"""The service at work: several may share a process."""


class Distribution:
    """Durations by bucket; ``counts`` has one more entry than ``bounds``."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float], counts: Sequence[int], total: float) -> None:
        self.bounds = bounds
        self.counts = list(counts)
        self.total = total


Figures = dict[str, dict[Attributes, "int | Distribution"]]
"""Name -> attributes -> the count, or the distribution of durations."""


class _Process:
    """What this process has counted since ``started_at``."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_service: dict[str, Figures] = {}
        self.instance = str(uuid4())
        self.started_at = time.time_ns()


_process = _Process()


def _begin() -> None:
    global _process
    _process = _Process()


# A child counts for itself, under a name of its own.
os.register_at_fork(after_in_child=_begin)


def counted(name: str, value: int = 1, **attributes: str | int) -> None:
    """Add ``value`` to a counter of METRICS. Never raises: it must not break what it counts."""
    process = _process
    metric = METRICS.get(name)
    if metric is None or metric.kind != "counter":
        return
    with process.lock:
        series, key = _series(process, name, attributes)
        found = series.get(key, 0)
        if isinstance(found, int):
            series[key] = found + value


def timed(name: str, seconds: float, **attributes: str | int) -> None:
    """Add a duration to a histogram of METRICS (a negative one, of clocks that differ, is 0)."""
    process = _process
    metric = METRICS.get(name)
    if metric is None or metric.kind != "histogram":
        return
    with process.lock:
        series, key = _series(process, name, attributes)
        found = series.get(key)
        if found is None:
            bounds = metric.bounds
            found = series[key] = Distribution(bounds, [0] * (len(bounds) + 1), 0.0)
        if isinstance(found, Distribution):
            seconds = max(seconds, 0.0)
            found.counts[bisect_left(found.bounds, seconds)] += 1
            found.total += seconds


def handled(env: Envelope, outcome: str) -> None:
    """A message was taken on: how long after it was emitted."""
    # What nobody here knows may be called anything.
    kind = "other" if outcome == "unknown" else env.event_type
    late = (clock().now() - env.timestamp).total_seconds()
    timed("dentalhelp.message.latency", late, event_type=kind, outcome=outcome)


def _series(
    process: _Process, name: str, attributes: dict[str, str | int]
) -> tuple[dict[Attributes, int | Distribution], Attributes]:
    service = serving_name.get()
    of_service = process.by_service.get(service)
    if of_service is None:
        of_service = process.by_service[service] = {}
    series = of_service.get(name)
    if series is None:
        series = of_service[name] = {}
    key: Attributes = tuple(sorted(attributes.items()))
    if key not in series and len(series) >= _MOST_SERIES:
        # What grows without bound is a mistake: it must not take the memory, too.
        key = _OVERFLOW
    return series, key


def figures(service: str) -> Figures:
    """A copy of what ``service`` has counted in this process."""
    process = _process
    with process.lock:
        return {
            name: {
                key: found
                if isinstance(found, int)
                else Distribution(found.bounds, found.counts, found.total)
                for key, found in series.items()
            }
            for name, series in process.by_service.get(service, {}).items()
        }


def services() -> list[str]:
    """The services that have counted something in this process."""
    with _process.lock:
        return sorted(_process.by_service)


def instance() -> str:
    """A name for this process that no other has."""
    return _process.instance


def started_at() -> int:
    """Since when this process has counted, in nanoseconds since 1970."""
    return _process.started_at
