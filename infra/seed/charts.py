"""The past of the charts: facts in each patient's stream, appended visit by visit. The read models
follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from functions.dental_records.domain.chart import (
    Coding,
    Intervention,
    Material,
    Problem,
    TreatedTooth,
)
from functions.dental_records.service.codes import checked
from functions.dental_records.store.facts import (
    CATEGORY,
    CHARTS,
    InterventionPerformed,
    ProblemDiagnosed,
    stream,
)
from infra.seed.bulk import Batch, Patient
from infra.seed.mouth import Deed, Finding
from infra.seed.words import MATERIALS
from shared.eventstore import Fact

__all__ = ["Done", "collect", "done", "intervention_id", "item_id", "problem_id"]

_THERE = """
select id, max(version) as version,
       bool_or(coalesce(data ->> 'problem_id', data ->> 'intervention_id') = any(:ours::text[]))
         as ours
  from events where category = :category and id = any(:people::uuid[]) group by id
"""


class Done(NamedTuple):
    """A deed, when the chart says that it was, its place in a chart that holds nothing else, and
    the plan's item it was done for."""

    deed: Deed
    at: datetime
    version: int
    item_id: UUID | None


def problem_id(who: Patient, finding: Finding) -> UUID:
    """Of a finding."""
    return who.id("problem", finding.turn, finding.at)


def intervention_id(who: Patient, deed: Deed) -> UUID:
    """Of a deed."""
    return who.id("intervention", deed.turn, deed.at)


def item_id(who: Patient, finding: int) -> UUID:
    """Of the item for a finding in the plan that is about it."""
    at = who.mouth.findings[finding].at
    return who.id("item", finding, at)


def done(who: Patient) -> list[Done]:
    """What was done, in the chart's order."""
    planned = {place for plan in who.mouth.plans if plan.wanted for place in plan.findings}
    told = [(each, visit[0].at) for visit in _visits(who) for each in visit]
    return [
        Done(each, at, version, item_id(who, each.turn) if each.turn in planned else None)
        for version, (each, at) in enumerate(told, 1)
        if isinstance(each, Deed)
    ]


def collect(batch: Batch, people: Sequence[Patient]) -> None:
    """What is missing of these people's charts: all of one or nothing."""
    ours = {
        who.patient_id: problem_id(who, who.mouth.findings[0])
        for who in people
        if who.mouth.findings
    }
    rows = batch.tx.all(
        _THERE, category=CATEGORY, people=list(ours), ours=[str(each) for each in ours.values()]
    )
    there = {row["id"]: row for row in rows}
    for who in people:
        found = there.get(who.patient_id, {"version": 0, "ours": False})
        if who.patient_id in ours and not found["ours"]:
            _chart(batch, who, found["version"])


def _chart(batch: Batch, who: Patient, version: int) -> None:
    batch.key(who)
    items = {each.deed.turn: each.item_id for each in done(who)}
    for told in _visits(who):
        facts = [_fact(who, each, items) for each in told]
        version = CHARTS.append(
            batch.tx, stream(who.patient_id), facts, expected=version, effective_at=told[0].at
        )
        for each in told:
            what = "tooth problem" if isinstance(each, Finding) else "tooth intervention"
            batch.note(who, "create", what)


def _visits(who: Patient) -> list[list[Finding | Deed]]:
    """What was found and done, day by day; what was found comes first."""
    told: list[Finding | Deed] = [*who.mouth.findings, *who.mouth.deeds]
    told.sort(key=lambda each: (each.at.date(), isinstance(each, Deed), each.at))
    return [list(day) for _, day in groupby(told, key=lambda each: each.at.date())]


def _fact(who: Patient, each: Finding | Deed, items: dict[int, UUID | None]) -> Fact:
    if isinstance(each, Finding):
        coding: Coding = checked("icd-10", each.disease.code)
        problem = Problem(each.tooth, each.surfaces, coding, each.note, who.dentist)
        return ProblemDiagnosed(problem_id=problem_id(who, each), problem=problem)
    made = MATERIALS.get(each.procedure)
    intervention = Intervention(
        procedure=each.procedure,
        teeth=(TreatedTooth(each.tooth, each.surfaces),),
        code=None,
        materials=(Material(made[0], each.lot, made[1]),) if made else (),
        note=None,
        performer_id=who.dentist,
        problem_ids=(problem_id(who, who.mouth.findings[each.turn]),),
        resolves=each.resolves,
    )
    return InterventionPerformed(
        intervention_id=intervention_id(who, each),
        treatment_item_id=items[each.turn],
        intervention=intervention,
    )
