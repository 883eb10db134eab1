"""Figures and spans as OTLP over HTTP. Imported at the first sending: it costs a fifth of a second.

Only the exporters of OpenTelemetry's SDK are used. Its meters and span processors hand over from
threads of their own, and a function has no processor time between two requests.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

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
from shared.traces import Span

__all__ = ["Exporter"]

_SCOPE = InstrumentationScope("dentalhelp")
_CUMULATIVE = AggregationTemporality.CUMULATIVE
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
        self._metrics = OTLPMetricExporter(f"{base}/v1/metrics", timeout=timeout)
        self._spans = OTLPSpanExporter(f"{base}/v1/traces", timeout=timeout)

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
                        _SCOPE, [*_figures(of, now), *_gauges(gauges.get(service), now)], ""
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


def _resource(service: str) -> Resource:
    return Resource(
        {
            "service.name": service,
            "service.namespace": "dentalhelp",
            "service.instance.id": telemetry.instance(),
        }
    )


def _named(attributes: Attributes) -> dict[str, str | int]:
    return {_NAMES.get(key, key): value for key, value in attributes}


def _figures(figures: Figures, now: int) -> list[Metric]:
    began = telemetry.started_at()
    found = []
    for name, series in figures.items():
        metric = METRICS[name]
        counts = [
            NumberDataPoint(_named(key), began, now, value)
            for key, value in series.items()
            if isinstance(value, int)
        ]
        durations = [
            HistogramDataPoint(
                attributes=_named(key),
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
        found.append(Metric(name, metric.about, metric.unit, data))
    return found


def _gauges(gauges: Mapping[str, float] | None, now: int) -> list[Metric]:
    found = []
    for name, value in (gauges or {}).items():
        metric = METRICS[name]
        point = NumberDataPoint({}, None, now, value)  # type: ignore[arg-type]  # a gauge has no start
        found.append(Metric(name, metric.about, metric.unit, Gauge([point])))
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
