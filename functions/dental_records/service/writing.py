"""Adding to a patient's chart: one fact, its event and its line in the audit log, or none of it.

Nothing is changed that was recorded. Who adds a record need not have seen the chart: the facts of
one patient are written one after the other. Who says that a record is wrong names the version of
the chart that they have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar, overload
from uuid import UUID

from functions.dental_records.domain.chart import (
    Chart,
    Intervention,
    InterventionRecord,
    Problem,
    ProblemRecord,
    RecordKind,
    linked,
)
from functions.dental_records.store import charts
from functions.dental_records.store.facts import (
    CHARTS,
    InterventionCorrected,
    InterventionPerformed,
    ProblemCorrected,
    ProblemDiagnosed,
    RecordEnteredInError,
    stream,
)
from functions.dental_records.store.projection import PROJECTOR
from shared import audit
from shared.clocks import clock
from shared.contracts.dental_records import (
    ToothInterventionPerformed,
    ToothProblemDiagnosed,
    ToothRecordCorrected,
)
from shared.db import Tx
from shared.errors import Conflict, Invalid, NotFound, StaleVersion
from shared.eventstore import Fact
from shared.known_people import must_be_patient
from shared.messages import Event
from shared.privacy import alive
from shared.runtime import database
from shared.types import uuid7

__all__ = [
    "AlreadyInError",
    "correct_intervention",
    "correct_problem",
    "diagnose",
    "mark",
    "perform",
]

R = TypeVar("R", ProblemRecord, InterventionRecord)
# Clocks differ a little; what is to come in more than that is not yet a fact.
_AHEAD = timedelta(minutes=5)


class AlreadyInError(Conflict):
    """This record was entered in error: enter what is right as a new one."""


@dataclass(frozen=True)
class Written(Generic[R]):
    """The record as it stands now, and the chart with its version."""

    record: R
    chart: Chart
    version: int


@dataclass(frozen=True)
class _Change(Generic[R]):
    """What is to be added: since when it is so, a correction since what it corrects is; what it
    makes of the chart, and who is told."""

    fact: Fact
    since: datetime
    record: R
    after: Chart
    event: Event
    what: str


def diagnose(patient_id: UUID, problem: Problem, at: datetime | None) -> Written[ProblemRecord]:
    """Record a problem, found ``at`` (None: now). Raises NotFound, PersonErased, Invalid."""

    def decide(chart: Chart, version: int) -> _Change[ProblemRecord]:
        since = _since(at, "diagnosed_at")
        record = ProblemRecord(uuid7(), problem, since, version, since)
        fact = ProblemDiagnosed(problem_id=record.id, problem=problem)
        event = ToothProblemDiagnosed(
            patient_id=patient_id, problem_id=record.id, tooth=problem.tooth
        )
        after = chart.with_problem(record)
        return _Change(fact, since, record, after, event, "tooth problem")

    return _write(patient_id, decide)


def perform(
    patient_id: UUID, done: Intervention, at: datetime | None, treatment_item_id: UUID | None
) -> Written[InterventionRecord]:
    """Record what was done ``at`` (None: now). Raises NotFound, PersonErased, Invalid."""

    def decide(chart: Chart, version: int) -> _Change[InterventionRecord]:
        _links(chart, done)
        since = _since(at, "performed_at")
        record = InterventionRecord(uuid7(), done, since, version, since, treatment_item_id)
        fact = InterventionPerformed(
            intervention_id=record.id, treatment_item_id=treatment_item_id, intervention=done
        )
        event = ToothInterventionPerformed(
            patient_id=patient_id,
            intervention_id=record.id,
            teeth=[treated.tooth for treated in done.teeth],
            problem_ids=list(done.problem_ids),
            treatment_item_id=treatment_item_id,
            performer_id=done.performer_id,
            performed_at=since,
        )
        after = chart.with_intervention(record)
        return _Change(fact, since, record, after, event, "tooth intervention")

    return _write(patient_id, decide)


def correct_problem(
    patient_id: UUID, problem_id: UUID, seen: int, problem: Problem, reason: str
) -> Written[ProblemRecord]:
    """Say what a problem should have said; who found it stays. Raises NotFound, StaleVersion,
    AlreadyInError, PersonErased."""

    def decide(chart: Chart, version: int) -> _Change[ProblemRecord]:
        old = _standing(chart.problems.get(problem_id))
        right = replace(problem, diagnosed_by=old.problem.diagnosed_by)
        record = replace(old, problem=right, version=version, changed_at=clock().now())
        fact = ProblemCorrected(problem_id=problem_id, problem=right, reason=reason)
        event = _corrected(patient_id, "problem", old)
        after = chart.with_problem(record)
        return _Change(fact, old.since, record, after, event, "tooth problem")

    return _write(patient_id, decide, seen)


def correct_intervention(
    patient_id: UUID, intervention_id: UUID, seen: int, done: Intervention, reason: str
) -> Written[InterventionRecord]:
    """Say what an intervention should have said; who did it stays. Raises as
    ``correct_problem``, and Invalid."""

    def decide(chart: Chart, version: int) -> _Change[InterventionRecord]:
        old = _standing(chart.interventions.get(intervention_id))
        _links(chart, done)
        right = replace(done, performer_id=old.intervention.performer_id)
        record = replace(old, intervention=right, version=version, changed_at=clock().now())
        fact = InterventionCorrected(
            intervention_id=intervention_id, intervention=right, reason=reason
        )
        event = _corrected(patient_id, "intervention", old)
        after = chart.with_intervention(record)
        return _Change(fact, old.since, record, after, event, "tooth intervention")

    return _write(patient_id, decide, seen)


@overload
def mark(
    patient_id: UUID, kind: Literal["problem"], record_id: UUID, seen: int, reason: str
) -> Written[ProblemRecord]: ...
@overload
def mark(
    patient_id: UUID, kind: Literal["intervention"], record_id: UUID, seen: int, reason: str
) -> Written[InterventionRecord]: ...
def mark(
    patient_id: UUID, kind: RecordKind, record_id: UUID, seen: int, reason: str
) -> Written[Any]:
    """Mark a record as entered in error: it stays, as such, and what an intervention resolved is
    open again. Raises as ``correct_problem``."""

    def decide(chart: Chart, version: int) -> _Change[Any]:
        old = _standing(_record(chart, kind, record_id))
        after = chart.without(kind, record_id, version, clock().now(), reason)
        fact = RecordEnteredInError(record_id=record_id, record=kind, reason=reason)
        event = _corrected(patient_id, kind, old, in_error=True)
        record = _record(after, kind, record_id)
        return _Change(fact, old.since, record, after, event, f"tooth {kind}")

    return _write(patient_id, decide, seen)


def _record(chart: Chart, kind: RecordKind, record_id: UUID) -> Any:
    records: Mapping[UUID, Any] = chart.problems if kind == "problem" else chart.interventions
    return records.get(record_id)


def _write(
    patient_id: UUID, decide: Callable[[Chart, int], _Change[R]], seen: int | None = None
) -> Written[R]:
    """``seen``: the version of the chart that must still be the present one.

    READ COMMITTED: what others have committed is to be seen behind the lock, and an erasure.
    """
    must_be_patient("dental_records", patient_id)

    def work(tx: Tx) -> Written[R]:
        alive(tx, patient_id)
        charts.lock(tx, patient_id)
        chart, version = charts.present(tx, patient_id)
        if seen is not None and seen != version:
            raise StaleVersion
        change = decide(chart, version + 1)
        version = CHARTS.append(
            tx, stream(patient_id), [change.fact], expected=version, effective_at=change.since
        )
        audit.record(tx, patient_id, "write" if seen is not None else "create", change.what)
        tx.emit(change.event, version=version)
        PROJECTOR.follow(tx)
        return Written(change.record, change.after, version)

    return database("dental_records").transaction(work, isolation="READ COMMITTED")


def _since(at: datetime | None, field: str) -> datetime:
    now = clock().now()
    if at is not None and at > now + _AHEAD:
        detail = "What is to come is no fact yet"
        raise Invalid(errors=[{"pointer": f"/{field}", "detail": detail}])
    return now if at is None else min(at, now)


def _standing(record: R | None) -> R:
    if record is None:
        raise NotFound("There is no such record.")
    if record.error is not None:
        raise AlreadyInError
    return record


def _links(chart: Chart, done: Intervention) -> None:
    wrong = linked(chart, done)
    if wrong:
        raise Invalid(
            errors=[{"pointer": f"/problem_ids/{at}", "detail": why} for at, why in wrong]
        )


def _corrected(
    patient_id: UUID,
    kind: RecordKind,
    old: ProblemRecord | InterventionRecord,
    *,
    in_error: bool = False,
) -> ToothRecordCorrected:
    return ToothRecordCorrected(
        patient_id=patient_id,
        record_id=old.id,
        record=kind,
        entered_in_error=in_error,
        treatment_item_id=getattr(old, "treatment_item_id", None),
    )
