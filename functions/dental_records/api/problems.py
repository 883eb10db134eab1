"""Problems: recording, listing and correcting them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field

from functions.dental_records.api.base import (
    READERS,
    WRITERS,
    EnteredInError,
    Note,
    OnTooth,
    Reason,
    api,
    may_read,
)
from functions.dental_records.domain.chart import Problem, ProblemRecord, Status
from functions.dental_records.service import codes, reading, writing
from functions.dental_records.service.writing import AlreadyInError, Written
from shared.errors import Invalid, NotFound, StaleVersion, Unavailable
from shared.http import IfMatch, Reply
from shared.identity import Caller
from shared.pages import Moment, Page, PageQuery
from shared.privacy import PersonErased
from shared.teeth import Tooth

__all__ = ["ProblemOut"]


class _Content(OnTooth):
    """What is wrong with a tooth."""

    system: Annotated[str, Field(max_length=40)] = "icd-10"
    code: Annotated[str, Field(max_length=40)]
    note: Note | None = None

    def problem(self, diagnosed_by: UUID) -> Problem:
        """It, by whoever found it. Raises Invalid for an unknown code."""
        coding = codes.checked(self.system, self.code)
        return Problem(self.tooth, tuple(self.surfaces), coding, self.note, diagnosed_by)


class DiagnoseProblem(_Content):
    """A problem that was found."""

    diagnosed_at: Moment | None = None
    """Null: now."""
    diagnosed_by: UUID | None = None
    """Null: who writes this down."""


class CorrectProblem(_Content):
    """All that a problem should have said. Who found it when stays: where that is wrong, it was
    entered in error."""

    reason: Reason


class ProblemOut(BaseModel):
    """A problem as it stands in the chart."""

    problem_id: UUID
    tooth: str
    surfaces: list[str]
    system: str
    code: str
    title: str
    note: str | None
    diagnosed_by: UUID
    diagnosed_at: datetime
    status: Status
    error_reason: str | None
    version: int
    """Of the chart, after the last change of this."""

    @classmethod
    def of(cls, record: ProblemRecord, status: Status) -> Self:
        """The representation of ``record``."""
        problem = record.problem
        return cls(
            problem_id=record.id,
            tooth=problem.tooth,
            surfaces=list(problem.surfaces),
            system=problem.code.system,
            code=problem.code.code,
            title=problem.code.title,
            note=problem.note,
            diagnosed_by=problem.diagnosed_by,
            diagnosed_at=record.since,
            status=status,
            error_reason=record.error,
            version=record.version,
        )


class ProblemQuery(PageQuery):
    """Of one tooth, or in one state, only."""

    tooth: Tooth | None = None
    status: Status | None = None


@api.post(
    "/{patient_id}/problems",
    access=WRITERS,
    returns=ProblemOut,
    status=201,
    problems=[NotFound, PersonErased, Invalid, Unavailable],
)
def diagnose(patient_id: UUID, body: DiagnoseProblem, caller: Caller) -> Reply[ProblemOut]:
    """Record a problem. Who adds at the same time is written behind it, or before."""
    problem = body.problem(body.diagnosed_by or caller.person)
    written = writing.diagnose(patient_id, problem, body.diagnosed_at)
    path = f"{api.prefix}/{patient_id}/problems/{written.record.id}"
    return Reply(_out(written), location=path, etag=written.version)


@api.get(
    "/{patient_id}/problems",
    access=READERS,
    returns=Page[ProblemOut],
    problems=[NotFound, Unavailable],
)
def list_problems(patient_id: UUID, query: ProblemQuery, caller: Caller) -> Page[ProblemOut]:
    """The problems of a patient, newest first; those entered in error, too, as such."""
    may_read(caller, patient_id)
    page = reading.problems(patient_id, query, query.tooth, query.status)
    return page.map(lambda found: ProblemOut.of(*found))


@api.get(
    "/{patient_id}/problems/{problem_id}",
    access=READERS,
    returns=ProblemOut,
    problems=[NotFound, Unavailable],
)
def show_problem(patient_id: UUID, problem_id: UUID, caller: Caller) -> Reply[ProblemOut]:
    """One problem as it is now, with the chart's version as the ETag."""
    may_read(caller, patient_id)
    record, status, version = reading.problem(patient_id, problem_id)
    return Reply(ProblemOut.of(record, status), etag=version)


@api.put(
    "/{patient_id}/problems/{problem_id}",
    access=WRITERS,
    returns=ProblemOut,
    problems=[NotFound, PersonErased, StaleVersion, AlreadyInError, Invalid, Unavailable],
)
def correct_problem(
    patient_id: UUID, problem_id: UUID, body: CorrectProblem, if_match: IfMatch, caller: Caller
) -> Reply[ProblemOut]:
    """Say what a problem should have said; what it said stays in the tooth's history. If-Match is
    the chart's version: somebody else who wrote in it meanwhile makes this 412."""
    problem = body.problem(caller.person)
    written = writing.correct_problem(patient_id, problem_id, if_match, problem, body.reason)
    return Reply(_out(written), etag=written.version)


@api.post(
    "/{patient_id}/problems/{problem_id}/entered-in-error",
    access=WRITERS,
    returns=ProblemOut,
    problems=[NotFound, PersonErased, StaleVersion, AlreadyInError, Unavailable],
)
def mark_problem(
    patient_id: UUID, problem_id: UUID, body: EnteredInError, if_match: IfMatch
) -> Reply[ProblemOut]:
    """Mark a problem as entered in error; it stays visible as such, and cannot be changed again.
    If-Match as for a correction."""
    written = writing.mark(patient_id, "problem", problem_id, if_match, body.reason)
    return Reply(_out(written), etag=written.version)


def _out(written: Written[ProblemRecord]) -> ProblemOut:
    return ProblemOut.of(written.record, written.chart.status(written.record))
