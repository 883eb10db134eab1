"""A real OTLP/HTTP server that is slow or down when a test says so."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["Collector", "pairs"]

_METRICS: Any = ExportMetricsServiceRequest
_TRACES: Any = ExportTraceServiceRequest


class Collector:
    """What an OpenTelemetry collector does at its HTTP receiver."""

    def __init__(self) -> None:
        self.metrics: list[Any] = []
        self.traces: list[Any] = []
        self.status, self.hangs = 200, False
        self._closed = threading.Event()
        self.calls = 0
        self.accounts: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.calls += 1
                outer.accounts.append(self.headers["Authorization"])
                if outer.hangs:
                    outer._closed.wait(60)
                if outer.status == 200:
                    outer.take(self.path, self.headers["Content-Type"], body)
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def take(self, path: str, media: str, body: bytes) -> None:
        """Read one export as its specification has it."""
        assert media == "application/x-protobuf"
        if path == "/v1/metrics":
            self.metrics.append(_METRICS.FromString(body))
        elif path == "/v1/traces":
            self.traces.append(_TRACES.FromString(body))

    def spans(self) -> list[tuple[str, Any]]:
        """Every span received, with its service."""
        return [
            (pairs(of.resource)["service.name"], span)
            for export in self.traces
            for of in export.resource_spans
            for scope in of.scope_spans
            for span in scope.spans
        ]

    def points(self, service: str) -> dict[str, Any]:
        """The metrics of the last export for ``service``, by name."""
        return {
            metric.name: metric
            for of in self.metrics[-1].resource_metrics
            if pairs(of.resource)["service.name"] == service
            for scope in of.scope_metrics
            for metric in scope.metrics
        }

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()


def pairs(holder: Any) -> dict[str, Any]:
    """The attributes of a resource, a span or a point."""
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in holder.attributes
    }
