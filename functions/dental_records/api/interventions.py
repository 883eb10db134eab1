"""Interventions: recording, listing and correcting them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

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
from functions.dental_records.domain.chart import (
    Intervention,
    InterventionRecord,
    Material,
    Procedure,
    Role,
    TreatedTooth,
)
from functions.dental_records.domain.rules import wrong_with
from functions.dental_records.service import codes, reading, writing
from functions.dental_records.service.writing import AlreadyInError
from shared.errors import Invalid, NotFound, StaleVersion, Unavailable
from shared.http import IfMatch, Reply
from shared.identity import Caller
from shared.pages import Moment, Page, PageQuery
from shared.privacy import PersonErased
from shared.teeth import Tooth

__all__ = ["InterventionOut"]

_Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]


class Treated(OnTooth):
    """A tooth to which something was done."""

    model_config = ConfigDict(from_attributes=True)

    role: Role | None = None
    """In a bridge."""


class Used(BaseModel):
    """A material that was left in the mouth."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    name: _Name
    lot: Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")] | None = None
    manufacturer: _Name | None = None


class _Content(BaseModel):
    """What was done; several teeth of a bridge or splint are one intervention."""

    model_config = ConfigDict(extra="forbid")

    procedure: Procedure
    teeth: Annotated[list[Treated], Field(min_length=1, max_length=52)]
    system: Annotated[str, Field(max_length=40)] | None = None
    code: Annotated[str, Field(max_length=40)] | None = None
    """Of a catalogue of procedures that the operator has loaded."""
    materials: Annotated[list[Used], Field(max_length=20)] = Field(default_factory=list)
    problem_ids: Annotated[list[UUID], Field(max_length=50)] = Field(default_factory=list)
    """The problems that it was done for, of these teeth."""
    resolves: bool = True
    """Whether they are resolved by it."""
    note: Note | None = None

    def intervention(self, performer: UUID) -> Intervention:
        """It, by whoever did it. Raises Invalid."""
        teeth = tuple(TreatedTooth(t.tooth, tuple(t.surfaces), t.role) for t in self.teeth)
        wrong = list(wrong_with(self.procedure, teeth))
        if (self.system is None) != (self.code is None):
            wrong.append(("/code", "A code needs its system, and a system its code"))
        if wrong:
            raise Invalid(errors=[{"pointer": at, "detail": why} for at, why in wrong])
        coded = self.system is not None and self.code is not None
        return Intervention(
            procedure=self.procedure,
            teeth=teeth,
            code=codes.checked(self.system or "", self.code or "") if coded else None,
            materials=tuple(Material(m.name, m.lot, m.manufacturer) for m in self.materials),
            note=self.note,
            performer_id=performer,
            problem_ids=tuple(dict.fromkeys(self.problem_ids)),
            resolves=self.resolves,
        )


class PerformIntervention(_Content):
    """Something that was done."""

    performed_at: Moment | None = None
    """Null: now."""
    performer_id: UUID | None = None
    """Null: who writes this down."""
    treatment_item_id: UUID | None = None
    """The item of a treatment plan that this completes."""


class CorrectIntervention(_Content):
    """All that an intervention should have said. Who did it when, and for which item of a plan,
    stays: where that is wrong, it was entered in error."""

    reason: Reason


class InterventionOut(BaseModel):
    """An intervention as it stands in the chart."""

    intervention_id: UUID
    procedure: Procedure
    teeth: list[Treated]
    system: str | None
    code: str | None
    title: str | None
    materials: list[Used]
    problem_ids: list[UUID]
    resolves: bool
    note: str | None
    performer_id: UUID
    performed_at: datetime
    treatment_item_id: UUID | None
    entered_in_error: bool
    error_reason: str | None
    version: int
    """Of the chart, after the last change of this."""

    @classmethod
    def of(cls, record: InterventionRecord) -> Self:
        """The representation of ``record``."""
        done = record.intervention
        return cls(
            intervention_id=record.id,
            procedure=done.procedure,
            teeth=[Treated.model_validate(treated) for treated in done.teeth],
            system=done.code and done.code.system,
            code=done.code and done.code.code,
            title=done.code and done.code.title,
            materials=[Used.model_validate(material) for material in done.materials],
            problem_ids=list(done.problem_ids),
            resolves=done.resolves,
            note=done.note,
            performer_id=done.performer_id,
            performed_at=record.since,
            treatment_item_id=record.treatment_item_id,
            entered_in_error=record.error is not None,
            error_reason=record.error,
            version=record.version,
        )


class InterventionQuery(PageQuery):
    """Of one tooth only."""

    tooth: Tooth | None = None


@api.post(
    "/{patient_id}/interventions",
    access=WRITERS,
    returns=InterventionOut,
    status=201,
    problems=[NotFound, PersonErased, Invalid, Unavailable],
)
def perform(patient_id: UUID, body: PerformIntervention, caller: Caller) -> Reply[InterventionOut]:
    """Record what was done. Who adds at the same time is written behind it, or before."""
    done = body.intervention(body.performer_id or caller.person)
    written = writing.perform(patient_id, done, body.performed_at, body.treatment_item_id)
    path = f"{api.prefix}/{patient_id}/interventions/{written.record.id}"
    return Reply(InterventionOut.of(written.record), location=path, etag=written.version)


@api.get(
    "/{patient_id}/interventions",
    access=READERS,
    returns=Page[InterventionOut],
    problems=[NotFound, Unavailable],
)
def list_interventions(
    patient_id: UUID, query: InterventionQuery, caller: Caller
) -> Page[InterventionOut]:
    """The interventions of a patient, newest first; those entered in error, too, as such."""
    may_read(caller, patient_id)
    page = reading.interventions(patient_id, query, query.tooth)
    return page.map(InterventionOut.of)


@api.get(
    "/{patient_id}/interventions/{intervention_id}",
    access=READERS,
    returns=InterventionOut,
    problems=[NotFound, Unavailable],
)
def show_intervention(
    patient_id: UUID, intervention_id: UUID, caller: Caller
) -> Reply[InterventionOut]:
    """One intervention as it is now, with the chart's version as the ETag."""
    may_read(caller, patient_id)
    record, version = reading.intervention(patient_id, intervention_id)
    return Reply(InterventionOut.of(record), etag=version)


@api.put(
    "/{patient_id}/interventions/{intervention_id}",
    access=WRITERS,
    returns=InterventionOut,
    problems=[NotFound, PersonErased, StaleVersion, AlreadyInError, Invalid, Unavailable],
)
def correct_intervention(
    patient_id: UUID,
    intervention_id: UUID,
    body: CorrectIntervention,
    if_match: IfMatch,
    caller: Caller,
) -> Reply[InterventionOut]:
    """Say what an intervention should have said; what it said stays in the teeth's histories.
    If-Match is the chart's version: somebody else who wrote in it meanwhile makes this 412."""
    done = body.intervention(caller.person)
    written = writing.correct_intervention(patient_id, intervention_id, if_match, done, body.reason)
    return Reply(InterventionOut.of(written.record), etag=written.version)


@api.post(
    "/{patient_id}/interventions/{intervention_id}/entered-in-error",
    access=WRITERS,
    returns=InterventionOut,
    problems=[NotFound, PersonErased, StaleVersion, AlreadyInError, Unavailable],
)
def mark_intervention(
    patient_id: UUID, intervention_id: UUID, body: EnteredInError, if_match: IfMatch
) -> Reply[InterventionOut]:
    """Mark an intervention as entered in error: it stays visible as such, cannot be changed again,
    and what it resolved is open. If-Match as for a correction."""
    written = writing.mark(patient_id, "intervention", intervention_id, if_match, body.reason)
    return Reply(InterventionOut.of(written.record), etag=written.version)
