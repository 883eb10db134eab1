"""Figures for an operator or a Prometheus, under ``{prefix}/-/metrics``.

Text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/ with names as
https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ derives them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from shared import telemetry
from shared.access import GROUP, roles
from shared.db import Database
from shared.errors import Unavailable
from shared.http import Api, Reply
from shared.telemetry import METRICS, Attributes, Distribution, Figures, Gauges
from shared.telemetry_names import prometheus_name

__all__ = ["add_metrics_route", "kit_gauges", "read_gauges", "rendered"]

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
# Counting stops here: who has this many needs no exact number.
_ENOUGH = 10_000
_KIT_GAUGES = """
select
  (select count(*) from (select from outbox limit :enough) o) as outbox_rows,
  (select extract(epoch from clock_timestamp()
     - (envelope::json #>> '{timestamp}')::timestamptz)::float8
   from outbox order by id limit 1) as outbox_age,
  (select count(*) from (select from dead_letters limit :enough) d) as dead_letters,
  (select count(*) from (select from sagas where status = 'PARKED' limit :enough) s) as parked,
  (select extract(epoch from clock_timestamp() - a.at)::float8 from audit_log a
   where (a.epoch, a.tx, a.id) > (
     coalesce((select upto_epoch from audit_seals order by number desc limit 1), 1),
     coalesce((select upto_tx from audit_seals order by number desc limit 1), '0'::xid8),
     coalesce((select upto_id from audit_seals order by number desc limit 1), 0))
   order by a.epoch, a.tx, a.id limit 1) as unsealed_age
"""


def kit_gauges(db: Database) -> Mapping[str, float | None]:
    """What every service has. Raises Unavailable."""
    row = db.one(_KIT_GAUGES, enough=_ENOUGH) or {}
    return {
        "dentalhelp.outbox.rows": row.get("outbox_rows"),
        "dentalhelp.outbox.age": row.get("outbox_age") or 0.0,
        "dentalhelp.dead_letters": row.get("dead_letters"),
        "dentalhelp.sagas.parked": row.get("parked"),
        "dentalhelp.audit.unsealed.age": row.get("unsealed_age") or 0.0,
    }


def read_gauges(db: Database, sources: Sequence[Gauges]) -> dict[str, float]:
    """Every gauge that has a value now. Raises Unavailable."""
    found: dict[str, float] = {}
    for source in sources:
        found |= {name: value for name, value in source(db).items() if value is not None}
    return found


def add_metrics_route(api: Api, db: Callable[[], Database], sources: Sequence[Gauges]) -> None:
    """``sources`` are asked at each scrape; for group-wide ADMINs."""

    @api.get(
        "/-/metrics",
        access=roles("ADMIN", clinic=GROUP),
        returns=bytes,
        media=MEDIA,
        problems=[Unavailable],
    )
    def metrics() -> Reply[bytes]:
        """Counters and durations of the process that answers, and gauges read from the database.

        Prometheus text format 0.0.4. `target_info` names the process: others have their own
        figures, only the gauges are the same everywhere.
        """
        gauges = read_gauges(db(), sources)
        text = rendered(api.name, telemetry.figures(api.name), gauges)
        return Reply(text.encode())


def rendered(service: str, figures: Figures, gauges: Mapping[str, float]) -> str:
    """The exposition of one service's figures."""
    lines = ["# HELP target_info The process that answers.", "# TYPE target_info gauge"]
    who: Attributes = (
        ("service_instance_id", telemetry.instance()),
        ("service_name", service),
        ("service_namespace", "dentalhelp"),
    )
    lines.append(f"target_info{_labels(who)} 1")
    for name in sorted(figures):
        lines += _family(name, figures[name])
    for name in sorted(gauges):
        metric = METRICS[name]
        full = prometheus_name(name)
        lines += [f"# HELP {full} {metric.about}", f"# TYPE {full} gauge"]
        lines.append(f"{full} {_number(gauges[name])}")
    return "\n".join(lines) + "\n"


def _family(name: str, series: Mapping[Attributes, int | Distribution]) -> Iterator[str]:
    metric = METRICS[name]
    full = prometheus_name(name)
    yield f"# HELP {full} {metric.about}"
    yield f"# TYPE {full} {metric.kind}"
    for attributes, found in series.items():
        if isinstance(found, int):
            yield f"{full}{_labels(attributes)} {found}"
            continue
        below = 0
        for bound, count in zip([*map(str, found.bounds), "+Inf"], found.counts, strict=True):
            below += count
            yield f"{full}_bucket{_labels((*attributes, ('le', bound)))} {below}"
        yield f"{full}_sum{_labels(attributes)} {_number(found.total)}"
        yield f"{full}_count{_labels(attributes)} {below}"


def _labels(attributes: Attributes) -> str:
    pairs = ",".join(f'{key}="{str(value).translate(_ESCAPES)}"' for key, value in attributes)
    return f"{{{pairs}}}" if pairs else ""


def _number(value: float) -> str:
    return repr(float(value)) if value != int(value) else str(int(value))
