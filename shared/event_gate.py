"""What keeps readers of all events waiting, and what a restore has to announce.

Readers pass over nothing that may still commit: they stop at the oldest transaction that is open
anywhere on the instance (``EventStore.read_all``). One that is forgotten stops them for good, and
so does a restore that brings rows with transaction ids from the future.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypedDict

from shared import log
from shared.db import Database, Tx
from shared.jobs import Job

__all__ = ["STALLED_S", "Gate", "bump_epoch", "gate", "gate_gauges", "gate_job"]

STALLED_S = 60.0
"""From here on somebody has to look: no service's transaction may be open for longer."""

_GATE = """
with here as materialized (
  select pg_snapshot_xmin(s) as xmin, pg_snapshot_xmax(s) as xmax,
         (select epoch from event_epochs) as epoch
    from pg_current_snapshot() s)
select (select extract(epoch from clock_timestamp() - e.recorded_at)::float8 from events e
         where (e.epoch, e.tx) >= (here.epoch, here.xmin)
         order by e.epoch, e.tx, e.pos limit 1) as stalled_s,
       here.xmax::text::bigint - here.xmin::text::bigint as xmin_lag,
       exists (select from events e where (e.epoch, e.tx) >= (here.epoch, here.xmax)) as restored,
       p.prepared, p.prepared_age_s
  from here, (select count(*) as prepared, coalesce(extract(
                epoch from clock_timestamp() - min(x.prepared)), 0)::float8 as prepared_age_s
                from pg_prepared_xacts x) p
"""


class Gate(TypedDict):
    """How far readers of all events are held back now."""

    stalled_s: float
    """Age of the oldest event that is committed and not to be read yet; 0 if there is none."""
    xmin_lag: int
    """Transaction ids from the oldest open transaction to the newest."""
    restored: bool
    """There are events from the future: a restore that was not announced (``bump_epoch``)."""
    prepared: int
    """Prepared transactions: nobody's connection ends these."""
    prepared_age_s: float


def bump_epoch(tx: Tx) -> int:
    """After a restore, before anybody appends: begin a new epoch and return its number.

    Waits for every open transaction that has touched the events or the audit log; what is written
    to them afterwards comes behind everything that is there, whatever its transaction id.
    """
    bumped: int = tx.value("select bump_event_epoch()")
    return bumped


def gate(db: Database) -> Gate:
    """The gate of the instance behind ``db``, and the events of ``db`` behind it."""
    row = db.one(_GATE) or {}
    return Gate(
        stalled_s=max(row["stalled_s"] or 0.0, 0.0),
        xmin_lag=row["xmin_lag"],
        restored=row["restored"],
        prepared=row["prepared"],
        prepared_age_s=row["prepared_age_s"],
    )


def gate_gauges(db: Database) -> Mapping[str, float | None]:
    """``gate`` for telemetry. Raises Unavailable."""
    found = gate(db)
    return {
        "dentalhelp.events.gate.age": found["stalled_s"],
        "dentalhelp.events.gate.lag": found["xmin_lag"],
        "dentalhelp.transactions.prepared": found["prepared"],
        "dentalhelp.transactions.prepared.age": found["prepared_age_s"],
    }


def gate_job(db: Callable[[], Database]) -> Job:
    """Says so, each minute, while readers are held back for longer than STALLED_S, or will be."""

    def run() -> None:
        found = gate(db())
        if found["restored"]:
            log.error("event_epoch_not_bumped")
        elif max(found["stalled_s"], found["prepared_age_s"]) > STALLED_S:
            log.error("event_gate_stalled", **found)

    return Job("event-gate", timedelta(minutes=1), run)
