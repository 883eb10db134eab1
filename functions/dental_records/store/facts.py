"""A patient's tooth chart as facts: what was found and done, and what of it was wrong.

All that tells of the patient is sealed with the patient's key: deleting that erases the chart.
Since when something is so is the fact's ``effective_at``. A correction has that of what it
corrects, so that a chart of the past shows what is known today of that time; what was held to be so
then is asked for by when it was known.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from functions.dental_records.domain.chart import (
    Chart,
    Intervention,
    InterventionRecord,
    Problem,
    ProblemRecord,
    RecordKind,
)
from shared.eventstore import EventStore, Fact, Recorded, Snapshot, Stream
from shared.messages import personal
from shared.runtime import vault

__all__ = [
    "CATEGORY",
    "CHARTS",
    "SNAPSHOT",
    "InterventionCorrected",
    "InterventionPerformed",
    "ProblemCorrected",
    "ProblemDiagnosed",
    "RecordEnteredInError",
    "stream",
    "then",
]

CATEGORY = "tooth_chart"


class ProblemDiagnosed(Fact):
    """Something is wrong with a tooth."""

    problem_id: UUID
    problem: Problem = personal()


class ProblemCorrected(Fact):
    """A problem was written down wrongly; this is what it should have said."""

    problem_id: UUID
    problem: Problem = personal()
    reason: str = personal()


class InterventionPerformed(Fact):
    """Something was done to teeth."""

    intervention_id: UUID
    treatment_item_id: UUID | None = None
    """The item of a treatment plan that this completes."""
    intervention: Intervention = personal()


class InterventionCorrected(Fact):
    """An intervention was written down wrongly; this is what it should have said."""

    intervention_id: UUID
    intervention: Intervention = personal()
    reason: str = personal()


class RecordEnteredInError(Fact):
    """A record should never have been made: another patient's, for one."""

    record_id: UUID
    record: RecordKind
    reason: str = personal()


CHARTS = EventStore(
    lambda: vault("dental_records"),
    (
        ProblemDiagnosed,
        ProblemCorrected,
        InterventionPerformed,
        InterventionCorrected,
        RecordEnteredInError,
    ),
)
SNAPSHOT = Snapshot(Chart, every=50)
"""A long chart is read from here on."""


def stream(patient_id: UUID) -> Stream:
    """The patient's chart."""
    return Stream(CATEGORY, patient_id, patient_id)


def then(chart: Chart, event: Recorded) -> Chart:
    """``chart`` after one fact more; empty when the patient was erased."""
    fact, version, since, at = event.fact, event.version, event.effective_at, event.recorded_at
    match fact:
        case ProblemDiagnosed():
            return chart.with_problem(
                ProblemRecord(fact.problem_id, fact.problem, since, version, at)
            )
        case ProblemCorrected():
            old = chart.problems[fact.problem_id]
            return chart.with_problem(
                replace(old, problem=fact.problem, version=version, changed_at=at)
            )
        case InterventionPerformed():
            item = fact.treatment_item_id
            return chart.with_intervention(
                InterventionRecord(
                    fact.intervention_id, fact.intervention, since, version, at, item
                )
            )
        case InterventionCorrected():
            was = chart.interventions[fact.intervention_id]
            return chart.with_intervention(
                replace(was, intervention=fact.intervention, version=version, changed_at=at)
            )
        case RecordEnteredInError():
            return chart.without(fact.record, fact.record_id, version, at, fact.reason)
    return Chart()
