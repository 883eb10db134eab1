"""What Prometheus calls a figure: the names in docs/telemetry.md and in every alarm.

https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ derives them.
"""

from __future__ import annotations

from shared.telemetry import METRICS

__all__ = ["prometheus_name"]


def prometheus_name(name: str) -> str:
    """The name of a figure of METRICS; a histogram's series end with ``_bucket`` and the like."""
    metric = METRICS[name]
    return (
        name.replace(".", "_")
        + ("_seconds" if metric.unit == "s" else "")
        + ("_total" if metric.kind == "counter" else "")
    )
