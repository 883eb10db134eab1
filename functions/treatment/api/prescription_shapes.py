"""What prescriptions look like from outside: what is sent, shown and printed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from functions.treatment.domain import allergies
from functions.treatment.domain import prescriptions as domain
from functions.treatment.domain.prescriptions import Route, Status, directions
from functions.treatment.service.prescriptions import Issued
from shared.types import AtcCode, Language

__all__ = ["Cancel", "NewPrescription", "Prescription", "Printed", "content"]

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
_Notes = Annotated[str, StringConstraints(strip_whitespace=True, max_length=5000)]
_Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
_Count = Annotated[int, Field(ge=1, le=1000)]
_TimeUnit = Literal["h", "d", "wk", "mo"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True)


class Drug(_Body):
    """What is prescribed, by its generic name; the ATC code makes the check of allergies sure."""

    name: _Text
    code: AtcCode | None = None


class Dose(_Body):
    """How much at a time: 1 ``tablet``, 7.5 ``ml``."""

    value: Annotated[Decimal, Field(gt=0, le=100_000, max_digits=9, decimal_places=3)]
    unit: Annotated[_Text, StringConstraints(max_length=50)]


class Timing(_Body):
    """``frequency`` times in every ``period`` of ``unit`` (FHIR R5 Timing.repeat)."""

    frequency: _Count
    period: _Count = 1
    unit: _TimeUnit = "d"
    as_needed: bool = False


class Duration(_Body):
    """For how long."""

    value: _Count
    unit: _TimeUnit = "d"


class _Said(_Body):
    """All that a prescription says."""

    drug: Drug
    form: _Text
    """tablet, solution..."""
    strength: _Text
    """500 mg, 0.12 %..."""
    dose: Dose
    route: Route
    """Of EDQM's standard terms."""
    timing: Timing
    duration: Duration
    repeats: Annotated[int, Field(ge=0, le=99)] = 0
    """How often it may be dispensed again."""
    notes: _Notes | None = None


class Override(_Body):
    """Why it is issued in spite of these allergies, which the refusal has named; of none where
    nobody has asked what the patient is allergic to."""

    reason: _Reason
    allergy_ids: Annotated[list[UUID], Field(max_length=100)] = []


class NewPrescription(_Said):
    """What to issue to whom."""

    patient_id: UUID
    clinic_id: UUID
    treatment_id: UUID | None = None
    override: Override | None = None


class Cancel(_Body):
    """Why it is not to be dispensed any more."""

    reason: _Reason


class Overridden(BaseModel):
    """What spoke against it, and why it was issued."""

    reason: str
    substances: list[str]


class Prescription(_Said):
    """A prescription as it was issued."""

    prescription_id: UUID
    patient_id: UUID
    clinic_id: UUID
    treatment_id: UUID | None
    prescriber_id: UUID
    status: Status
    issued_at: datetime
    allergies_version: int
    """The version of the patient's record that it was checked against."""
    override: Overridden | None
    cancelled_at: datetime | None
    cancelled_by: UUID | None
    cancel_reason: str | None

    @classmethod
    def of(cls, found: Issued) -> Self:
        """The representation of ``found``."""
        row = found.row
        return cls(
            **_Said.model_validate(found.content).model_dump(),
            **{name: row[name] for name in _ROW},
            override=_overridden(found),
            cancel_reason=found.cancel_reason,
        )


_ROW = (
    "prescription_id",
    "patient_id",
    "clinic_id",
    "treatment_id",
    "prescriber_id",
    "status",
    "issued_at",
    "allergies_version",
    "cancelled_at",
    "cancelled_by",
)


class Printed(BaseModel):
    """What stands on paper. Names and addresses are looked up by whoever prints it."""

    prescription_id: UUID
    patient_id: UUID
    prescriber_id: UUID
    clinic_id: UUID
    status: Status
    """A cancelled one must not look as if it could be dispensed."""
    issued_at: datetime
    drug: str
    code: str | None
    form: str
    strength: str
    route: Route
    directions: str
    repeats: int
    notes: str | None
    language: Language

    @classmethod
    def of(cls, found: Issued, language: Language) -> Self:
        """What to print of ``found``."""
        row, said = found.row, found.content
        return cls(
            prescription_id=row["prescription_id"],
            patient_id=row["patient_id"],
            prescriber_id=row["prescriber_id"],
            clinic_id=row["clinic_id"],
            status=row["status"],
            issued_at=row["issued_at"],
            drug=said.drug.name,
            code=said.drug.code,
            form=said.form,
            strength=said.strength,
            route=said.route,
            directions=directions(said, language),
            repeats=said.repeats,
            notes=said.notes,
            language=language,
        )


def content(body: NewPrescription) -> domain.Content:
    """What ``body`` says, in the domain's words."""
    timing, duration = body.timing, body.duration
    return domain.Content(
        drug=allergies.Drug(body.drug.name, body.drug.code),
        form=body.form,
        strength=body.strength,
        dose=domain.Dose(body.dose.value, body.dose.unit),
        route=body.route,
        timing=domain.Timing(timing.frequency, timing.period, timing.unit, timing.as_needed),
        duration=domain.Duration(duration.value, duration.unit),
        repeats=body.repeats,
        notes=body.notes,
    )


def _overridden(found: Issued) -> Overridden | None:
    if found.override is None:
        return None
    met = (one.allergy.name or one.allergy.code or "" for one in found.override.conflicts)
    return Overridden(reason=found.override.reason, substances=list(met))
