"""The read models of the charts: problems and interventions, each row one record as it is now.

What a record says is sealed with the patient's key; an erasure deletes the rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from functions.dental_records.domain.chart import Intervention, Problem
from functions.dental_records.store.facts import (
    CATEGORY,
    CHARTS,
    InterventionCorrected,
    InterventionPerformed,
    ProblemCorrected,
    ProblemDiagnosed,
    RecordEnteredInError,
)
from shared.crypto import Subject, blind_index
from shared.db import Tx
from shared.eventstore import Recorded
from shared.projection import Projection, Projector, Side
from shared.runtime import database
from shared.wire import Statement

__all__ = [
    "PROJECTION",
    "PROJECTOR",
    "lot_index",
    "opened_intervention",
    "opened_problem",
    "reached",
]

_PROBLEM, _INTERVENTION = "tooth_problems.record", "tooth_interventions.record"
_REASON = "tooth_records.reason"
_problem = TypeAdapter(Problem)
_intervention = TypeAdapter(Intervention)

_DIAGNOSED = """
insert into {table} (problem_id, patient_id, tooth, since, version, changed_at, record)
values (:id, :patient, :tooth, :since, :version, :at, :record)
"""
_PROBLEM_CORRECTED = """
update {table} set tooth = :tooth, version = :version, changed_at = :at, record = :record
 where problem_id = :id
"""
_PERFORMED = """
insert into {table} (intervention_id, patient_id, teeth, problem_ids, resolves, lots,
                     treatment_item_id, since, version, changed_at, record)
values (:id, :patient, :teeth::text[], :problems::uuid[], :resolves, :lots::bytea[],
        :item::uuid, :since, :version, :at, :record)
"""
_INTERVENTION_CORRECTED = """
update {table}
   set teeth = :teeth::text[], problem_ids = :problems::uuid[], resolves = :resolves,
       lots = :lots::bytea[], version = :version, changed_at = :at, record = :record
 where intervention_id = :id
"""
_IN_ERROR = """
update {table}
   set entered_in_error = true, version = :version, changed_at = :at, reason = :reason
 where {key} = :id
"""


def lot_index(lot: str) -> bytes:
    """What a material's lot is found by: letters' case and blanks aside."""
    return blind_index("dental_records.lot", "".join(lot.split()).upper())


def _apply(tx: Tx, event: Recorded, problems: Side) -> Iterable[Statement]:
    if event.erased:
        return ()
    fact, interventions = event.fact, Side(problems.of("tooth_interventions"))
    values: dict[str, Any] = {"version": event.version, "at": event.recorded_at}
    key = tx.keys[event.id]
    match fact:
        case ProblemDiagnosed() | ProblemCorrected():
            sql, table = _PROBLEM_CORRECTED, problems
            if isinstance(fact, ProblemDiagnosed):
                sql = _DIAGNOSED
                values |= {"patient": event.id, "since": event.effective_at}
            values |= {"id": fact.problem_id, **_of_problem(key, fact.problem)}
        case InterventionPerformed() | InterventionCorrected():
            sql, table = _INTERVENTION_CORRECTED, interventions
            if isinstance(fact, InterventionPerformed):
                sql = _PERFORMED
                values |= {"patient": event.id, "since": event.effective_at}
                values["item"] = fact.treatment_item_id
            values |= {"id": fact.intervention_id, **_of_intervention(key, fact.intervention)}
        case RecordEnteredInError():
            of_problem = fact.record == "problem"
            table = problems if of_problem else interventions
            sql = _IN_ERROR.replace("{key}", f"{fact.record}_id")
            values |= {"id": fact.record_id, "reason": key.seal(_REASON, fact.reason)}
        case _:
            raise AssertionError(event.type)
    return (Statement(sql.format(table=table), values),)


def _of_problem(key: Subject, problem: Problem) -> dict[str, Any]:
    text = _problem.dump_json(problem).decode()
    return {"tooth": problem.tooth, "record": key.seal(_PROBLEM, text)}


def _of_intervention(key: Subject, done: Intervention) -> dict[str, Any]:
    text = _intervention.dump_json(done).decode()
    return {
        "teeth": [treated.tooth for treated in done.teeth],
        "problems": list(done.problem_ids),
        "resolves": done.resolves,
        "lots": [lot_index(material.lot) for material in done.materials if material.lot],
        "record": key.seal(_INTERVENTION, text),
    }


def opened_problem(key: Subject, record: bytes, reason: bytes | None) -> tuple[Problem, str | None]:
    """The problem in a row's ``record``, and why it was entered in error if it was."""
    return _problem.validate_json(key.open(_PROBLEM, record)), key.unseal(_REASON, reason)


def opened_intervention(
    key: Subject, record: bytes, reason: bytes | None
) -> tuple[Intervention, str | None]:
    """The intervention in a row's ``record``, and why it was entered in error if it was."""
    return _intervention.validate_json(key.open(_INTERVENTION, record)), key.unseal(_REASON, reason)


PROJECTION = Projection(
    "tooth_records",
    [CATEGORY],
    _apply,
    ["tooth_problems", "tooth_interventions"],
    apart_from=frozenset({"record", "reason"}),
)
PROJECTOR = Projector(lambda: database("dental_records"), CHARTS, PROJECTION)
"""Keeps the read models up to date."""

_BEHIND = """
select from (select epoch, tx, pos from events where category = :category and id = :id
              order by version desc limit 1) last
 where not exists (select from projections p where p.name = 'tooth_records' and p.live
                      and (p.epoch, p.tx, p.pos) >= (last.epoch, last.tx, last.pos))
"""


def reached(patient_id: UUID) -> bool:
    """Has the read model all that is recorded of this patient?"""
    return database("dental_records").one(_BEHIND, id=patient_id, category=CATEGORY) is None
