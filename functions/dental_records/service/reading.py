"""Reading charts. What is shown of the chart itself comes from its facts: it is up to date, and a
chart of the past is as easy. Lists are pages of the read models."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

from functions.dental_records.domain.chart import (
    Chart,
    InterventionRecord,
    ProblemRecord,
    Status,
)
from functions.dental_records.store import charts, lists
from functions.dental_records.store.facts import RecordEnteredInError, then
from functions.dental_records.store.lists import Position
from functions.dental_records.store.projection import PROJECTOR, reached
from shared.db import Tx
from shared.errors import NotFound, Unavailable
from shared.eventstore import Recorded
from shared.known_people import must_be_patient
from shared.pages import Page, PageQuery
from shared.privacy import PersonErased
from shared.runtime import database

__all__ = [
    "Told",
    "chart",
    "intervention",
    "interventions",
    "of_lot",
    "problem",
    "problems",
    "tooth_story",
]

T = TypeVar("T")
# What may be waiting when somebody looks: the schedule has applied the rest.
_SOON, _SOON_S = 500, 1.0
_PAUSE_S = 0.02


class Told(NamedTuple):
    """A fact about a tooth, and the record as it stood afterwards; ``status`` of a problem."""

    event: Recorded
    record: ProblemRecord | InterventionRecord
    status: Status | None


def chart(
    patient_id: UUID, as_of: datetime | None = None, known_at: datetime | None = None
) -> tuple[Chart, int]:
    """The chart, now or as it was at ``as_of`` by what had been recorded at ``known_at``, and the
    version that says it; 0: nothing was recorded. Raises NotFound, Unavailable."""
    return _look(
        patient_id,
        lambda tx: charts.past(tx, patient_id, as_of, known_at),
        lambda: (Chart(), 0),
    )


def problem(patient_id: UUID, problem_id: UUID) -> tuple[ProblemRecord, Status, int]:
    """One problem as it is now, what became of it, and the chart's version. Raises NotFound,
    Unavailable."""
    now, version = chart(patient_id)
    record = now.problems.get(problem_id)
    if record is None:
        raise NotFound("There is no such record.")
    return record, now.status(record), version


def intervention(patient_id: UUID, intervention_id: UUID) -> tuple[InterventionRecord, int]:
    """One intervention as it is now, and the chart's version. Raises NotFound, Unavailable."""
    now, version = chart(patient_id)
    record = now.interventions.get(intervention_id)
    if record is None:
        raise NotFound("There is no such record.")
    return record, version


def tooth_story(patient_id: UUID, tooth: str, query: PageQuery) -> Page[Told]:
    """A page of what was recorded of a tooth, in that order: all about the records that were ever
    about it. Raises NotFound, BadRequest, Unavailable."""
    (after,) = query.after(tuple[int]) or (0,)
    facts = _look(patient_id, lambda tx: charts.story(tx, patient_id), list[Recorded])
    about = {_record_of(event) for event in facts if tooth in _teeth(event)}
    now, found = Chart(), list[Told]()
    for event in facts:
        now = then(now, event)
        record_id = _record_of(event)
        if event.version <= after or record_id not in about:
            continue
        problem = now.problems.get(record_id)
        status = None if problem is None else now.status(problem)
        found.append(Told(event, problem or now.interventions[record_id], status))
    return Page.of(found, query.limit, lambda told: (told.event.version,), lambda told: told)


def problems(
    patient_id: UUID, query: PageQuery, tooth: str | None, status: Status | None
) -> Page[tuple[ProblemRecord, Status]]:
    """A page of the problems, newest first. Raises NotFound, BadRequest, Unavailable."""
    after = _after(query)
    _catch_up(patient_id)
    rows = lists.problems(
        database("dental_records"),
        patient_id,
        tooth=tooth,
        status=status,
        after=after,
        limit=query.limit + 1,
    )
    if not rows:
        _must_be_somebody(patient_id)
    return Page.of(rows, query.limit, lambda row: (row[0].since, row[0].id), lambda row: row)


def interventions(
    patient_id: UUID, query: PageQuery, tooth: str | None
) -> Page[InterventionRecord]:
    """A page of the interventions, newest first. Raises NotFound, BadRequest, Unavailable."""
    after = _after(query)
    _catch_up(patient_id)
    db = database("dental_records")
    rows = lists.interventions(db, patient_id, tooth=tooth, after=after, limit=query.limit + 1)
    if not rows:
        _must_be_somebody(patient_id)
    return Page.of(rows, query.limit, lambda row: (row.since, row.id), lambda row: row)


def of_lot(lot: str, query: PageQuery) -> Page[tuple[UUID, InterventionRecord]]:
    """In whose mouths a material's lot is, newest first; what was recorded within the last second
    may be missing. Raises BadRequest."""
    rows = lists.of_lot(database("dental_records"), lot, _after(query), query.limit + 1)
    return Page.of(rows, query.limit, lambda row: (row[1].since, row[1].id), lambda row: row)


def _look(patient_id: UUID, read: Callable[[Tx], T], nothing: Callable[[], T]) -> T:
    def work(tx: Tx) -> T | None:
        return None if charts.look(tx, patient_id) is None else read(tx)

    found = database("dental_records").transaction(work)
    if found is not None:
        return found
    _must_be_somebody(patient_id)
    return nothing()


def _must_be_somebody(patient_id: UUID) -> None:
    try:
        must_be_patient("dental_records", patient_id)
    except PersonErased:
        # What stays of the facts says nothing, or is not for who asks.
        raise NotFound("There is no such patient.") from None


def _catch_up(patient_id: UUID) -> None:
    """What was recorded before somebody looks is shown, or nothing: an open transaction may hold
    it back, another process be about to apply it."""
    until = time.monotonic() + _SOON_S
    while not reached(patient_id):
        if not PROJECTOR.run(_SOON, _SOON_S):
            if time.monotonic() >= until:
                raise Unavailable("The list is not up to date yet.")
            time.sleep(_PAUSE_S)


def _after(query: PageQuery) -> Position | None:
    after = query.after(tuple[datetime, UUID])
    return None if after is None else Position(*after)


def _record_of(event: Recorded) -> UUID:
    fact = event.fact
    if isinstance(fact, RecordEnteredInError):
        return fact.record_id
    found: UUID = getattr(fact, "problem_id", None) or fact.intervention_id
    return found


def _teeth(event: Recorded) -> set[str]:
    fact = event.fact
    if hasattr(fact, "problem"):
        return {fact.problem.tooth}
    if hasattr(fact, "intervention"):
        return {treated.tooth for treated in fact.intervention.teeth}
    return set()
