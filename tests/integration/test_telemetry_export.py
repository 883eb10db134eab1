"""Figures and spans on their way to a collector: a real OTLP/HTTP server, slow or down at times."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from shared import runtime, telemetry, telemetry_export, traces
from shared.config import config
from shared.db import Database
from shared.telemetry import counted, figures
from shared.telemetry_export import Serving, flush
from tests.integration.collector_stack import Collector, pairs
from tests.platform import Platform, person

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the setting names, and is waited for; nothing was recorded before."""
    running = Collector()
    monkeypatch.setattr(telemetry_export, "TIMEOUT", 60.0)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
    config.cache_clear()
    telemetry._begin()
    telemetry_export._begin()
    monkeypatch.setattr(traces, "_waiting", None)
    yield running
    running.close()
    monkeypatch.undo()
    config.cache_clear()
    telemetry_export._begin()


@pytest.fixture
def platform(service_db: Callable[[str], str], collector: Collector) -> Platform:
    """All services on fresh databases, told of the collector."""
    return Platform(service_db)


def test_a_request_arrives_as_metric_and_span(platform: Platform, collector: Collector) -> None:
    """Its duration and its span carry the conventions' names; the span has the caller's parent."""
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    somebody = uuid4()
    platform.call("GET", f"/api/patients/{somebody}", headers=headers)
    assert flush()
    metric = collector.points("patient")["http.server.request.duration"]
    assert metric.unit == "s"
    (point,) = metric.histogram.data_points
    expected = {
        "http.request.method": "GET",
        "http.route": "/api/patients/{patient_id}",
        "http.response.status_code": 401,
    }
    assert expected == pairs(point)
    assert (1, 1) == (point.count, sum(point.bucket_counts))
    assert len(point.explicit_bounds) + 1 == len(point.bucket_counts)
    assert 0 < point.sum < 60
    assert telemetry.started_at() == point.start_time_unix_nano < point.time_unix_nano
    assert 2 == metric.histogram.aggregation_temporality  # cumulative
    ((service, span),) = collector.spans()
    assert ("GET /api/patients/{patient_id}", "patient") == (span.name, service)
    assert (TRACE, CALLER) == (span.trace_id.hex(), span.parent_span_id.hex())
    assert expected == pairs(span)
    assert (2, 0) == (span.kind, span.status.code)  # server, unset
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    assert str(somebody).encode() not in collector.traces[0].SerializeToString()


def test_a_trace_leads_from_the_request_to_the_last_service(
    platform: Platform, collector: Collector
) -> None:
    """Each message's span is a child of the span in which the message was emitted."""
    caller = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    platform.call("POST", "/api/auth/register", person("ana@example.com"), headers=caller)
    platform.drain()
    assert flush()
    of_trace = {
        span.span_id: (service, span)
        for service, span in collector.spans()
        if span.trace_id.hex() == TRACE
    }
    path = []
    _, span = next(
        found for found in of_trace.values() if found[1].name == "process USER_ACTIVATED"
    )
    assert span.kind == 5  # consumer
    while True:
        path.append(span.name)
        if span.parent_span_id not in of_trace:
            break
        _, span = of_trace[span.parent_span_id]
    assert [
        "process USER_ACTIVATED",
        "process SAGA_REPLIED",
        "process CREATE_PATIENT",
        "POST /api/auth/register",
    ] == path
    assert CALLER == span.parent_span_id.hex()
    assert {"auth", "patient", "notification"} == {service for service, _ in of_trace.values()}
    assert b"ana@example.com" not in b"".join(t.SerializeToString() for t in collector.traces)


def test_an_unsampled_trace_is_not_sent(platform: Platform, collector: Collector) -> None:
    """Whoever began the trace has decided; without one, it is ours and sent."""
    platform.call("GET", "/api/auth/-/health", headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
    platform.call("GET", "/api/patients/-/health")
    assert flush()
    assert ["GET /api/patients/-/health"] == [span.name for _, span in collector.spans()]


def test_a_failed_request_is_an_error(platform: Platform, collector: Collector) -> None:
    """A 503 marks its span as failed and its metric with the error's type."""
    runtime.install("patient", Database("postgresql://nobody:x@127.0.0.1:1/nothing"))
    assert 503 == platform.call("GET", "/api/patients/-/health").status_code
    assert flush()
    ((_, span),) = collector.spans()
    assert 2 == span.status.code
    (point,) = collector.points("patient")["http.server.request.duration"].histogram.data_points
    assert "503" == pairs(point)["error.type"]


def test_the_process_is_named(platform: Platform, collector: Collector) -> None:
    """Each service of a process has a resource of its own, with one instance id."""
    for prefix in ("auth", "patients"):
        platform.call("GET", f"/api/{prefix}/-/health")
    assert flush()
    resources = [pairs(of.resource) for of in collector.metrics[-1].resource_metrics]
    assert ["auth", "patient"] == sorted(of["service.name"] for of in resources)
    assert {("dentalhelp", telemetry.instance())} == {
        (of["service.namespace"], of["service.instance.id"]) for of in resources
    }


def test_figures_leave_at_the_end_of_a_request_when_it_is_time(
    platform: Platform, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 15 seconds nothing is sent, then the next request sends everything once."""
    monkeypatch.setattr(telemetry_export._state, "last", time.monotonic())
    platform.call("GET", "/api/auth/-/health")
    assert 0 == collector.calls
    monkeypatch.setattr(telemetry_export._state, "last", time.monotonic() - 15.0)
    platform.call("GET", "/api/auth/-/health")
    platform.call("GET", "/api/auth/-/health")
    assert (1, 1) == (len(collector.metrics), len(collector.traces))
    counter = collector.points("auth")["http.server.request.duration"]
    assert 2 == counter.histogram.data_points[0].count


def test_gauges_leave_with_a_job(collector: Collector) -> None:
    """What a job read from the database is sent, of its service, and only once."""
    asked: list[str] = []

    def gauges() -> dict[str, float]:
        asked.append("read")
        return {"dentalhelp.dead_letters": 3, "dentalhelp.outbox.age": 0.5}

    for _ in range(2):
        with Serving("patient", gauges):
            counted("dentalhelp.mail.sent", outcome="sent")
    assert ["read"] == asked
    assert flush()
    found = collector.points("patient")
    (letters,) = found["dentalhelp.dead_letters"].gauge.data_points
    (age,) = found["dentalhelp.outbox.age"].gauge.data_points
    assert (3, 0.5) == (letters.as_int, age.as_double)
    (sent,) = found["dentalhelp.mail.sent"].sum.data_points
    assert (2, True) == (sent.as_int, found["dentalhelp.mail.sent"].sum.is_monotonic)
    assert flush()
    assert "dentalhelp.dead_letters" not in collector.points("patient")


@pytest.mark.parametrize("fault", ["refuses", "is busy", "hangs", "down"])
def test_a_collector_that_fails_costs_a_moment(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """The request goes on; what was lost is counted and the next sending has new spans only."""
    monkeypatch.setattr(telemetry_export, "TIMEOUT", 1.0)
    if fault == "refuses":
        collector.status = 400
    elif fault == "is busy":
        collector.status = 503
    elif fault == "hangs":
        collector.hangs = True
    else:
        collector.close()
    with Serving("patient"):
        for number in range(5):
            with traces.Span(f"span {number}", "server", None):
                counted("dentalhelp.mail.sent", outcome="sent")
    telemetry_export._state.last = time.monotonic() - 15.0
    with Serving("patient"):
        counted("dentalhelp.mail.sent", outcome="sent")
    dropped = figures("patient")["dentalhelp.telemetry.dropped"]
    assert {(("signal", "metrics"),): 1, (("signal", "span"),): 5} == dropped
    assert [] == traces.taken()


def test_too_many_spans_push_out_the_oldest(collector: Collector) -> None:
    """What waits is bounded; what had to go is counted."""
    with Serving("patient"):
        for number in range(4_100):
            with traces.Span(f"span {number}", "server", None):
                pass
        waiting = traces.taken()
        assert (4_096, "span 4") == (len(waiting), waiting[0].name)
        assert 4 == figures("patient")["dentalhelp.telemetry.dropped"][(("signal", "span"),)]


def test_serving_does_not_import_the_sdk() -> None:
    """It is loaded by the first sending only: a cold start does not pay for it."""
    program = (
        "import sys, functions.auth.main, functions.patient.main, functions.notification.main;"
        " sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert 0 == subprocess.run([sys.executable, "-c", program], check=False).returncode
