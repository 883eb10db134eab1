"""What is known of a patient's teeth: pure data, and what each fact makes of it.

Nothing is overwritten: a correction takes the place of what it corrects in the chart alone, and a
record that was entered in error stays in it, marked as such.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

__all__ = [
    "CONNECTED",
    "WHOLE",
    "Chart",
    "Coding",
    "Intervention",
    "InterventionRecord",
    "Material",
    "Problem",
    "ProblemRecord",
    "Procedure",
    "RecordKind",
    "Role",
    "Status",
    "TreatedTooth",
    "linked",
]

Procedure = Literal[
    "FILLING",
    "SEALANT",
    "INLAY",
    "VENEER",
    "CROWN",
    "BRIDGE",
    "SPLINT",
    "DENTURE",
    "IMPLANT",
    "ROOT_CANAL",
    "EXTRACTION",
    "CLEANING",
    "ORTHODONTICS",
    "OTHER",
]
"""What was done, as far as the chart shows it; a code of some catalogue may say it exactly."""
Role = Literal["ABUTMENT", "PONTIC"]
"""What a tooth is to a bridge: what carries it, or what it replaces."""
RecordKind = Literal["problem", "intervention"]
Status = Literal["ACTIVE", "RESOLVED", "ENTERED_IN_ERROR"]
"""Of a problem. RESOLVED: an intervention resolved it, and is not in error itself."""

CONNECTED = ("BRIDGE", "SPLINT")
"""What joins several teeth of one jaw to one thing."""
WHOLE = ("EXTRACTION", "IMPLANT")
"""What leaves no surface as it was."""


@dataclass(frozen=True, slots=True)
class Coding:
    """A code of a code system, with what it said when it was recorded."""

    system: str
    code: str
    title: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a tooth, or some of its surfaces."""

    tooth: str
    surfaces: tuple[str, ...]
    code: Coding
    note: str | None
    diagnosed_by: UUID


@dataclass(frozen=True, slots=True)
class TreatedTooth:
    """A tooth to which something was done."""

    tooth: str
    surfaces: tuple[str, ...] = ()
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """What was left in the mouth; the lot finds it again when its maker recalls it."""

    name: str
    lot: str | None = None
    manufacturer: str | None = None


@dataclass(frozen=True, slots=True)
class Intervention:
    """What was done, as one thing even where it is done to several teeth."""

    procedure: Procedure
    teeth: tuple[TreatedTooth, ...]
    code: Coding | None
    materials: tuple[Material, ...]
    note: str | None
    performer_id: UUID
    problem_ids: tuple[UUID, ...] = ()
    """The problems it was done for."""
    resolves: bool = True
    """Whether they are resolved by it: not yet, if it takes several visits."""


@dataclass(frozen=True, slots=True)
class ProblemRecord:
    """A problem as it stands in the chart."""

    id: UUID
    problem: Problem
    since: datetime
    version: int
    """Of the stream, after the last change of it."""
    changed_at: datetime
    error: str | None = None
    """Why it was entered in error, if it was."""


@dataclass(frozen=True, slots=True)
class InterventionRecord:
    """An intervention as it stands in the chart."""

    id: UUID
    intervention: Intervention
    since: datetime
    version: int
    changed_at: datetime
    treatment_item_id: UUID | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """All records of one patient."""

    problems: dict[UUID, ProblemRecord] = field(default_factory=dict)
    interventions: dict[UUID, InterventionRecord] = field(default_factory=dict)

    def with_problem(self, record: ProblemRecord) -> Chart:
        """This chart with one problem more, or another one in its place."""
        return replace(self, problems={**self.problems, record.id: record})

    def with_intervention(self, record: InterventionRecord) -> Chart:
        """This chart with one intervention more, or another one in its place."""
        return replace(self, interventions={**self.interventions, record.id: record})

    def without(
        self, record: RecordKind, record_id: UUID, version: int, at: datetime, reason: str
    ) -> Chart:
        """This chart with a record marked as entered in error."""
        if record == "problem":
            problem = self.problems[record_id]
            marked = replace(problem, version=version, changed_at=at, error=reason)
            return self.with_problem(marked)
        done = self.interventions[record_id]
        return self.with_intervention(replace(done, version=version, changed_at=at, error=reason))

    def resolved(self) -> frozenset[UUID]:
        """The problems that were resolved."""
        done = (
            record.intervention
            for record in self.interventions.values()
            if record.error is None and record.intervention.resolves
        )
        return frozenset().union(*(each.problem_ids for each in done))

    def status(self, record: ProblemRecord, resolved: Set[UUID] | None = None) -> Status:
        """What became of a problem of this chart; ``resolved`` where that is known already."""
        if record.error is not None:
            return "ENTERED_IN_ERROR"
        done = self.resolved() if resolved is None else resolved
        return "RESOLVED" if record.id in done else "ACTIVE"


def linked(chart: Chart, done: Intervention) -> list[tuple[int, str]]:
    """What is wrong with the problems that ``done`` names: (which of them, why)."""
    teeth = {treated.tooth for treated in done.teeth}
    wrong = []
    for number, problem_id in enumerate(done.problem_ids):
        record = chart.problems.get(problem_id)
        if record is None:
            wrong.append((number, "no problem of this patient"))
        elif record.error is not None:
            wrong.append((number, "a problem that was entered in error"))
        elif record.problem.tooth not in teeth:
            wrong.append((number, "a problem of another tooth"))
    return wrong
