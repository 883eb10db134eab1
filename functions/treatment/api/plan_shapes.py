"""What treatment plans look like from outside: what is sent, and what is shown."""

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
    ValidationInfo,
    field_validator,
)

from functions.treatment.domain import plans as domain
from functions.treatment.domain.currencies import CURRENCIES
from functions.treatment.domain.plans import Decision, Status
from functions.treatment.service.plans import Shown
from shared.db import Row
from shared.errors import Invalid
from shared.http import Reply
from shared.teeth import Surface, Tooth, checked_surfaces
from shared.types import uuid7

__all__ = ["NewTreatment", "Revision", "Summary", "Treatment", "Version", "content"]

_MOST = 10**12


def _currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError("not a currency of ISO 4217, such as RON")
    return code


Currency = Annotated[
    str,
    StringConstraints(max_length=3),
    AfterValidator(_currency),
    Field(json_schema_extra={"enum": [*sorted(CURRENCIES)]}),
]
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
_Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)]
Price = Annotated[int, Field(ge=0, le=_MOST, strict=True)]
"""In the currency's minor units: RON 150.00 is 15000."""


class _Done(BaseModel):
    """One thing to be done."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    procedure: _Text
    price: Price
    tooth: Tooth | None = None
    surfaces: Annotated[list[Surface], Field(max_length=5)] = []
    """Of M, D, O or I, B or V, P or L those that the tooth has."""
    problem_id: UUID | None = None
    """The problem in the dental record that this is for."""


class _Wanted(_Done):
    """As it is sent."""

    @field_validator("surfaces")
    @classmethod
    def _of_the_tooth(cls, given: list[Surface], info: ValidationInfo) -> list[Surface]:
        if not given or "tooth" not in info.data:
            return given
        if info.data["tooth"] is None:
            raise ValueError("surfaces are a tooth's")
        return list(checked_surfaces(info.data["tooth"], given))


class NewItem(_Wanted):
    """An item of a new plan."""


class RevisedItem(_Wanted):
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
    currency: Currency
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

    @staticmethod
    def brief(found: Shown) -> Summary:
        """``found`` as it stands in a list."""
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
            **Summary.brief(found).model_dump(),
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

    @staticmethod
    def of(row: Row, plan: domain.Plan) -> Version:
        """The representation of a row with its ``decisions``, and what it offers."""
        return Version(
            plan_version=row["plan_version"],
            title=plan.title,
            phases=[OfferedPhase.model_validate(phase) for phase in plan.phases],
            note=plan.note,
            made_by=row["made_by"],
            made_at=row["made_at"],
            decisions=[DecisionMade.model_validate(one) for one in row["decisions"]],
        )


class OfferedItem(_Done):
    """An item as it was offered."""

    item_id: UUID


class OfferedPhase(BaseModel):
    """What was to be done together."""

    model_config = ConfigDict(from_attributes=True)

    title: str
    items: list[OfferedItem]


def content(body: NewTreatment | Revision) -> domain.Plan:
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
