"""The chart as a whole, as a picture, and the history of one tooth."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from functions.dental_records.api.base import READERS, api, may_read
from functions.dental_records.api.interventions import InterventionOut
from functions.dental_records.api.problems import ProblemOut
from functions.dental_records.domain.chart import Chart, InterventionRecord, ProblemRecord
from functions.dental_records.domain.findings import findings
from functions.dental_records.domain.odontogram import draw
from functions.dental_records.service import reading
from functions.dental_records.service.reading import Told
from shared.errors import NotFound, Unavailable
from shared.http import Reply
from shared.identity import Caller
from shared.pages import Moment, Page, PageQuery
from shared.teeth import is_tooth
from shared.types import Language

__all__ = ["ChartOut", "ToothChange"]

What = Literal["diagnosed", "performed", "corrected", "entered_in_error"]


class ChartQuery(BaseModel):
    """``as_of``: the chart as it was then, instead of now. ``known_at``: by what had been recorded
    by then, without what we learned later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of: Moment | None = None
    known_at: Moment | None = None


class DrawingQuery(ChartQuery):
    """``lang``: of the words on the picture."""

    lang: Language = "en"


class ToothOut(BaseModel):
    """What is recorded of one tooth."""

    tooth: str
    missing: bool
    """It was extracted or lost, or never came, and no implant took its place since."""
    problem_ids: list[UUID]
    intervention_ids: list[UUID]


class ChartOut(BaseModel):
    """All records of a patient; those entered in error are among them, as such."""

    patient_id: UUID
    version: int
    """Of the last fact that it says; 0: nothing is recorded."""
    as_of: datetime | None
    known_at: datetime | None
    teeth: list[ToothOut]
    """Those of which something is recorded, from the patient's upper right to the lower left."""
    problems: list[ProblemOut]
    interventions: list[InterventionOut]

    @classmethod
    def of(cls, patient_id: UUID, query: ChartQuery, chart: Chart, version: int) -> Self:
        """The representation of ``chart``."""
        resolved = chart.resolved()
        problems, done = chart.problems.values(), chart.interventions.values()
        return cls(
            patient_id=patient_id,
            version=version,
            as_of=query.as_of,
            known_at=query.known_at,
            teeth=[
                ToothOut(
                    tooth=tooth,
                    missing=found.missing,
                    problem_ids=[r.id for r in problems if r.problem.tooth == tooth],
                    intervention_ids=[
                        r.id for r in done if tooth in {t.tooth for t in r.intervention.teeth}
                    ],
                )
                for tooth, found in findings(chart).items()
            ],
            problems=[ProblemOut.of(r, chart.status(r, resolved)) for r in problems],
            interventions=[InterventionOut.of(r) for r in done],
        )


class ToothChange(BaseModel):
    """Something that was recorded of a tooth."""

    version: int
    at: datetime
    """Since when it is so; of a correction: since what it corrects is."""
    recorded_at: datetime
    by: UUID | None
    what: What
    reason: str | None
    """Why it was corrected, or entered in error."""
    problem: ProblemOut | None
    """As it stood afterwards."""
    intervention: InterventionOut | None

    @classmethod
    def of(cls, told: Told) -> Self:
        """The representation of ``told``."""
        event, record = told.event, told.record
        problem = intervention = None
        if isinstance(record, ProblemRecord):
            problem = ProblemOut.of(record, told.status or "ACTIVE")
        elif isinstance(record, InterventionRecord):
            intervention = InterventionOut.of(record)
        return cls(
            version=event.version,
            at=event.effective_at,
            recorded_at=event.recorded_at,
            by=event.actor,
            what=_WHAT[event.type],
            reason=getattr(event.fact, "reason", None),
            problem=problem,
            intervention=intervention,
        )


_WHAT: dict[str, What] = {
    "PROBLEM_DIAGNOSED": "diagnosed",
    "PROBLEM_CORRECTED": "corrected",
    "INTERVENTION_PERFORMED": "performed",
    "INTERVENTION_CORRECTED": "corrected",
    "RECORD_ENTERED_IN_ERROR": "entered_in_error",
}


@api.get("/{patient_id}/chart", access=READERS, returns=ChartOut, problems=[NotFound, Unavailable])
def show_chart(patient_id: UUID, query: ChartQuery, caller: Caller) -> Reply[ChartOut]:
    """The tooth chart, now or at some time. The ETag is its version, for a correction's
    If-Match."""
    may_read(caller, patient_id)
    chart, version = reading.chart(patient_id, query.as_of, query.known_at)
    return Reply(ChartOut.of(patient_id, query, chart, version), etag=version)


@api.get(
    "/{patient_id}/chart.svg",
    access=READERS,
    returns=bytes,
    media="image/svg+xml",
    problems=[NotFound, Unavailable],
)
def draw_chart(patient_id: UUID, query: DrawingQuery, caller: Caller) -> Reply[bytes]:
    """The tooth chart as a picture (SVG) in English, Romanian or Indonesian, with all of it as a
    text alternative, too."""
    may_read(caller, patient_id)
    chart, version = reading.chart(patient_id, query.as_of, query.known_at)
    picture = draw(chart, version, query.lang, query.as_of, query.known_at)
    return Reply(picture.encode())


@api.get(
    "/{patient_id}/teeth/{tooth}/history",
    access=READERS,
    returns=Page[ToothChange],
    problems=[NotFound, Unavailable],
)
def show_tooth_history(
    patient_id: UUID, tooth: str, query: PageQuery, caller: Caller
) -> Page[ToothChange]:
    """What was recorded of one tooth, in that order, what was wrong included; of a record that was
    once about another tooth, all."""
    may_read(caller, patient_id)
    if not is_tooth(tooth):
        raise NotFound("There is no such tooth.")
    return reading.tooth_story(patient_id, tooth, query).map(ToothChange.of)
