"""Figures and spans as OTLP over HTTP. Imported at the first sending: it costs a fifth of a second.

Only the exporters of OpenTelemetry's SDK are used. Its meters and span processors hand over from
threads of their own, and a function has no processor time between two requests.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared import telemetry
from shared.telemetry import METRICS, Attributes, Distribution, Figures
from shared.telemetry_names import prometheus_name
from shared.traces import Span

__all__ = ["Exporter"]

_SCOPE = InstrumentationScope("dentalhelp")
_CUMULATIVE = AggregationTemporality.CUMULATIVE
_GOOGLE = "telemetry.googleapis.com"
_KINDS = {"server": SpanKind.SERVER, "consumer": SpanKind.CONSUMER}
# Python's keywords know no dots.
_NAMES = {
    name.replace(".", "_"): name
    for name in (
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "messaging.message.id",
        "messaging.operation.type",
        "otel.metric.overflow",
        "url.scheme",
    )
}
# A collector that is away is told by the counter, not by a line for each attempt.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)


class Exporter:
    """Sends to one collector."""

    def __init__(self, endpoint: str, timeout: float) -> None:
        """``endpoint``: the base URL; ``timeout``: seconds for one export, repetitions included."""
        base = endpoint.rstrip("/")
        google = urlsplit(base).hostname == _GOOGLE
        session = _as_this_account() if google else None
        self._words = _PROMETHEUS if google else _OPENTELEMETRY
        self._metrics = OTLPMetricExporter(f"{base}/v1/metrics", timeout=timeout, session=session)
        self._spans = OTLPSpanExporter(f"{base}/v1/traces", timeout=timeout, session=session)

    def send_metrics(
        self, figures: Mapping[str, Figures], gauges: Mapping[str, Mapping[str, float]]
    ) -> bool:
        """Service -> its figures, service -> its gauges; whether the collector took them."""
        now = time.time_ns()
        sent = [
            ResourceMetrics(
                resource=_resource(service),
                scope_metrics=[
                    ScopeMetrics(
                        _SCOPE,
                        [
                            *_figures(of, now, self._words),
                            *_gauges(gauges.get(service), now, self._words),
                        ],
                        "",
                    )
                ],
                schema_url="",
            )
            for service, of in figures.items()
        ]
        result = self._metrics.export(MetricsData(sent))
        return bool(result is MetricExportResult.SUCCESS)

    def send_spans(self, spans: Sequence[Span]) -> bool:
        """Whether the collector took them."""
        result = self._spans.export([_span(span) for span in spans])
        return bool(result is SpanExportResult.SUCCESS)


def _as_this_account() -> Any:
    """A session that Google knows: the metadata server says whose process this is."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]


def _resource(service: str) -> Resource:
    return _described(service, telemetry.instance())


@lru_cache(maxsize=64)
def _described(service: str, instance: str) -> Resource:
    """``create`` adds what OTEL_RESOURCE_ATTRIBUTES says: in which region this runs."""
    return Resource.create(
        {
            "service.name": service,
            "service.namespace": "dentalhelp",
            "service.instance.id": instance,
        }
    )


def _named(attributes: Attributes) -> dict[str, str | int]:
    return {_NAMES.get(key, key): value for key, value in attributes}


class _Words(NamedTuple):
    """What a collector wants figures and their attributes to be called."""

    name: Callable[[str], str]
    attributes: Callable[[Attributes], dict[str, str | int]]


_OPENTELEMETRY = _Words(str, _named)
# Google keeps figures under the names that come, and asks for them in Prometheus' language.
_PROMETHEUS = _Words(prometheus_name, dict)


def _figures(figures: Figures, now: int, words: _Words) -> list[Metric]:
    began = telemetry.started_at()
    found = []
    for name, series in figures.items():
        metric = METRICS[name]
        counts = [
            NumberDataPoint(words.attributes(key), began, now, value)
            for key, value in series.items()
            if isinstance(value, int)
        ]
        durations = [
            HistogramDataPoint(
                attributes=words.attributes(key),
                start_time_unix_nano=began,
                time_unix_nano=now,
                count=sum(value.counts),
                sum=value.total,
                bucket_counts=value.counts,
                explicit_bounds=value.bounds,
                # Of all the time since the start: they would say nothing about now.
                min=None,  # type: ignore[arg-type]  # optional in the protocol
                max=None,  # type: ignore[arg-type]
            )
            for key, value in series.items()
            if isinstance(value, Distribution)
        ]
        data = Histogram(durations, _CUMULATIVE) if durations else Sum(counts, _CUMULATIVE, True)
        found.append(Metric(words.name(name), metric.about, metric.unit, data))
    return found


def _gauges(gauges: Mapping[str, float] | None, now: int, words: _Words) -> list[Metric]:
    found = []
    for name, value in (gauges or {}).items():
        metric = METRICS[name]
        point = NumberDataPoint({}, None, now, value)  # type: ignore[arg-type]  # a gauge has no start
        found.append(Metric(words.name(name), metric.about, metric.unit, Gauge([point])))
    return found


def _span(span: Span) -> ReadableSpan:
    flags = TraceFlags(TraceFlags.SAMPLED)
    context = SpanContext(int(span.trace, 16), int(span.span, 16), False, flags)
    parent = None
    if span.parent is not None:
        parent = SpanContext(int(span.trace, 16), int(span.parent, 16), True, flags)
    return ReadableSpan(
        name=span.name,
        context=context,
        parent=parent,
        resource=_resource(span.service),
        attributes=_named(tuple(span.attributes.items())),
        kind=_KINDS[span.kind],
        status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
        start_time=span.began,
        end_time=span.ended,
        instrumentation_scope=_SCOPE,
    )
