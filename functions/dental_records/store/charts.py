"""Reading a patient's chart from its facts, on record."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from functions.dental_records.domain.chart import Chart
from functions.dental_records.store.facts import CATEGORY, CHARTS, SNAPSHOT, stream, then
from shared.audit import audited, who
from shared.db import Row, Tx
from shared.eventstore import Recorded

__all__ = ["lock", "look", "past", "present", "story"]

# What stays of somebody's facts when the key is gone is no chart.
_LOOK = audited(
    "select e.person_id, e.version from events e"
    " where e.category = :category and e.id = :patient"
    " and exists (select from subject_keys k where k.subject = e.person_id)"
    " order by e.version desc limit 1",
    action="read",
    what="tooth chart",
)


def look(tx: Tx, patient_id: UUID) -> int | None:
    """The version of a chart that is about to be shown to whoever acts; None: nothing is to be
    shown. It stands in the audit log."""
    row: Row | None = tx.one(_LOOK, category=CATEGORY, patient=patient_id, **who())
    return None if row is None else int(row["version"])


def lock(tx: Tx, patient_id: UUID) -> None:
    """Let whoever else adds to this chart wait until the end, in a statement of its own so that the
    next one sees what the other has committed."""
    tx.run(
        "select pg_advisory_xact_lock(hashtextextended(:key, 0))", key=f"tooth chart {patient_id}"
    )


def present(tx: Tx, patient_id: UUID) -> tuple[Chart, int]:
    """The chart as it is, and its version; 0: there is none."""
    return CHARTS.load(tx, stream(patient_id), Chart(), then, snapshot=SNAPSHOT)


def past(
    tx: Tx, patient_id: UUID, as_of: datetime | None, known_at: datetime | None
) -> tuple[Chart, int]:
    """The chart as it was at ``as_of``, by what had been recorded at ``known_at``."""
    if as_of is None and known_at is None:
        return present(tx, patient_id)
    return CHARTS.load(tx, stream(patient_id), Chart(), then, as_of=as_of, known_at=known_at)


def story(tx: Tx, patient_id: UUID) -> list[Recorded]:
    """All facts in the order in which they were recorded."""
    return CHARTS.history(tx, stream(patient_id))
