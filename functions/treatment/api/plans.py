"""Treatment plans: offered by dentists, read by their patients.

A plan says what somebody needs (GDPR, article 9). Its patient and dentists see it; reception sees
the plans of its clinics, because it explains what they cost and takes signatures.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from functions.treatment.api.base import api, must_say_what_for, viewer
from functions.treatment.domain import plans as domain
from functions.treatment.domain.currencies import CURRENCIES
from functions.treatment.domain.plans import (
    TOOTH,
    Decision,
    ItemDone,
    PlanCompleted,
    Status,
    Surface,
)
from functions.treatment.service import plans
from functions.treatment.service.plans import Shown
from shared.access import GROUP, anyone, owner, roles
from shared.db import Row
from shared.errors import Forbidden, Invalid, NotFound, StaleVersion
from shared.http import IfMatch, Reply
from shared.identity import Caller
from shared.pages import Page, PageQuery
from shared.privacy import PersonErased
from shared.types import uuid7

__all__ = ["Treatment"]

_MOST = 10**12


def _currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError("not a currency of ISO 4217, such as RON")
    return code


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
_Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)]
_Tooth = Annotated[str, StringConstraints(pattern=f"^{TOOTH}$", max_length=4)]
Price = Annotated[int, Field(ge=0, le=_MOST, strict=True)]
"""In the currency's minor units: RON 150.00 is 15000."""


class _Done(BaseModel):
    """One thing to be done."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    procedure: _Text
    price: Price
    tooth: _Tooth | None = None
    """ISO 3950 (FDI); with an S, the supernumerary tooth beside it."""
    surfaces: Annotated[list[Surface], Field(max_length=5)] = []
    """HL7's FDI-surface, and P for palatal."""
    problem_id: UUID | None = None
    """The problem in the dental record that this is for."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.surfaces)) != len(self.surfaces):
            raise ValueError("each surface once")
        if self.surfaces and self.tooth is None:
            raise ValueError("surfaces are a tooth's")
        return self


class NewItem(_Done):
    """An item of a new plan."""


class RevisedItem(_Done):
    """An item of the next version: with its ``item_id`` one that the plan has had, else a new
    one."""

    item_id: UUID | None = None


class NewPhase(BaseModel):
    """What is done together."""

    model_config = ConfigDict(extra="forbid")

    title: _Text
    items: Annotated[list[NewItem], Field(min_length=1, max_length=100)]


class RevisedPhase(BaseModel):
    """What is done together."""

    model_config = ConfigDict(extra="forbid")

    title: _Text
    items: Annotated[list[RevisedItem], Field(min_length=1, max_length=100)]


class NewTreatment(BaseModel):
    """A plan to offer. All prices are in one currency, for good."""

    model_config = ConfigDict(extra="forbid")

    patient_id: UUID
    clinic_id: UUID
    currency: Annotated[str, StringConstraints(max_length=3), AfterValidator(_currency)]
    title: _Text
    phases: Annotated[list[NewPhase], Field(min_length=1, max_length=20)]
    note: _Note | None = None


class Revision(BaseModel):
    """The whole next version."""

    model_config = ConfigDict(extra="forbid")

    title: _Text
    phases: Annotated[list[RevisedPhase], Field(min_length=1, max_length=20)]
    note: _Note | None = None


class Item(_Done):
    """One thing to be done, and whether it is."""

    item_id: UUID
    done: bool
    performed_at: datetime | None


class Phase(BaseModel):
    """What is done together."""

    title: str
    items: list[Item]


class Costs(BaseModel):
    """In minor units. What was done counts, also where a later version dropped it."""

    model_config = ConfigDict(from_attributes=True)

    so_far: int
    to_come: int
    total: int


class Summary(BaseModel):
    """A plan in a list."""

    treatment_id: UUID
    patient_id: UUID
    clinic_id: UUID
    status: Status
    plan_version: int
    title: str
    currency: str
    costs: Costs
    created_at: datetime
    updated_at: datetime


class Treatment(Summary):
    """A plan in its newest version."""

    phases: list[Phase]
    note: str | None
    made_by: UUID
    made_at: datetime
    """Of this version."""

    @classmethod
    def of(cls, found: Shown) -> Reply[Self]:
        """The representation of ``found``."""
        shown = cls(
            **_summary(found).model_dump(),
            phases=_phases(found.plan, found.done),
            note=found.plan.note,
            made_by=found.row["made_by"],
            made_at=found.row["made_at"],
        )
        return Reply(shown, etag=found.row["version"])


class DecisionMade(BaseModel):
    """What the patient said about a version. PAPER: staff recorded a signature."""

    decision: Decision
    how: str
    recorded_by: UUID
    decided_at: datetime
    recorded_at: datetime
    note: str | None


class Version(BaseModel):
    """A version as it was offered."""

    plan_version: int
    title: str
    phases: list[OfferedPhase]
    note: str | None
    made_by: UUID
    made_at: datetime
    decisions: list[DecisionMade]


class OfferedItem(_Done):
    """An item as it was offered."""

    item_id: UUID


class OfferedPhase(BaseModel):
    """What was to be done together."""

    model_config = ConfigDict(from_attributes=True)

    title: str
    items: list[OfferedItem]


class OfPatient(PageQuery):
    """Whose plans, and which of them."""

    patient_id: UUID
    status: Status | None = None


@api.post(
    "",
    access=roles("DENTIST", clinic="clinic_id"),
    returns=Treatment,
    status=201,
    problems=[NotFound, PersonErased, Invalid],
)
def create(body: NewTreatment, caller: Caller) -> Reply[Treatment]:
    """Offer a plan to a patient, who is told. Others may be offered at the same time."""
    made = plans.create(
        body.patient_id,
        body.clinic_id,
        _plan(body),
        currency=body.currency,
        by=caller,
        viewer=viewer(caller),
    )
    reply = Treatment.of(made)
    return Reply(
        reply.value, etag=reply.etag, location=f"/api/treatments/{reply.value.treatment_id}"
    )


@api.get(
    "",
    access=roles("DENTIST", "RECEPTIONIST") | roles("ADMIN", clinic=GROUP) | owner("patient_id"),
    returns=Page[Summary],
    problems=[Forbidden],
)
def list_plans(query: OfPatient, caller: Caller) -> Page[Summary]:
    """A patient's plans, newest first; reception sees those of its clinics, an ADMIN of the group
    says what for."""
    must_say_what_for(caller, query.patient_id, "DENTIST", "RECEPTIONIST")
    page = plans.list_of(query.patient_id, viewer(caller), query, query.status)
    return Page(items=[_summary(one) for one in page.items], next_cursor=page.next_cursor)


@api.get("/{treatment_id}", access=anyone(), returns=Treatment, problems=[NotFound])
def show(treatment_id: UUID, caller: Caller) -> Reply[Treatment]:
    """A plan in its newest version; 404 for everybody but its patient, dentists, reception at its
    clinic, and ADMINs of the group who say what for."""
    return Treatment.of(plans.show(treatment_id, viewer(caller)))


@api.get("/{treatment_id}/versions", access=anyone(), returns=Page[Version], problems=[NotFound])
def list_versions(treatment_id: UUID, query: PageQuery, caller: Caller) -> Page[Version]:
    """Every version that was offered, newest first, with who agreed to it and when; for whom the
    plan is."""
    page = plans.versions(treatment_id, viewer(caller), query)
    return Page(
        items=[_version(row, plan) for row, plan in page.items], next_cursor=page.next_cursor
    )


@api.put(
    "/{treatment_id}/plan",
    access=roles("DENTIST"),
    returns=Treatment,
    problems=[NotFound, Forbidden, StaleVersion, PlanCompleted, ItemDone, PersonErased, Invalid],
)
def revise(
    treatment_id: UUID, body: Revision, if_match: IfMatch, caller: Caller
) -> Reply[Treatment]:
    """Offer the next version, by a dentist of the plan's clinic. It needs a consent of its own;
    what is done stays as it was agreed. Of several who change one version one succeeds."""
    plan = _plan(body)
    named = {item.item_id for phase in body.phases for item in phase.items if item.item_id}
    shown = plans.revise(
        treatment_id, if_match, plan, named=named, by=caller, viewer=viewer(caller)
    )
    return Treatment.of(shown)


def _plan(body: NewTreatment | Revision) -> domain.Plan:
    """Items without an id get one. Raises Invalid where an id stands twice."""
    made = domain.Plan(
        body.title,
        tuple(
            domain.Phase(phase.title, tuple(_item(item) for item in phase.items))
            for phase in body.phases
        ),
        body.note,
    )
    ids = [item.item_id for item in made.items()]
    if len(set(ids)) != len(ids):
        raise Invalid(errors=[{"pointer": "/phases", "detail": "an item_id stands twice"}])
    return made


def _item(item: NewItem | RevisedItem) -> domain.Item:
    given = item.item_id if isinstance(item, RevisedItem) else None
    return domain.Item(
        item_id=given or uuid7(),
        procedure=item.procedure,
        price=item.price,
        tooth=item.tooth,
        surfaces=tuple(item.surfaces),
        problem_id=item.problem_id,
    )


def _phases(plan: domain.Plan, done: dict[UUID, datetime | None]) -> list[Phase]:
    return [
        Phase(
            title=phase.title,
            items=[
                Item(
                    **OfferedItem.model_validate(item).model_dump(),
                    done=item.item_id in done,
                    performed_at=done.get(item.item_id),
                )
                for item in phase.items
            ],
        )
        for phase in plan.phases
    ]


def _summary(found: Shown) -> Summary:
    row = found.row
    return Summary(
        treatment_id=row["treatment_id"],
        patient_id=row["patient_id"],
        clinic_id=row["clinic_id"],
        status=row["status"],
        plan_version=row["plan_version"],
        title=found.plan.title,
        currency=row["currency"],
        costs=Costs.model_validate(found.costs),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _version(row: Row, plan: domain.Plan) -> Version:
    return Version(
        plan_version=row["plan_version"],
        title=plan.title,
        phases=[OfferedPhase.model_validate(phase) for phase in plan.phases],
        note=plan.note,
        made_by=row["made_by"],
        made_at=row["made_at"],
        decisions=[DecisionMade.model_validate(one) for one in row["decisions"]],
    )
