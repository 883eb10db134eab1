"""Prescriptions: issued by dentists, never changed, cancelled with a reason.

Each is checked against what its patient is allergic to. What is refused is told by 409 with the
allergies that speak against it; a dentist may name them in ``override``, with a reason.
"""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict

from functions.treatment.api.base import api, must_say_what_for, sees_everything
from functions.treatment.api.prescription_shapes import (
    Cancel,
    NewPrescription,
    Prescription,
    Printed,
    content,
)
from functions.treatment.domain.prescriptions import (
    AllergiesUnknown,
    AllergyConflict,
    NotIssued,
    Status,
)
from functions.treatment.service import prescriptions
from functions.treatment.service.prescriptions import Waiver, Wanted
from shared.access import GROUP, anyone, owner, roles
from shared.errors import Forbidden, NotFound, Unavailable
from shared.http import Reply
from shared.identity import Caller
from shared.pages import Page, PageQuery
from shared.privacy import PersonErased
from shared.types import Language


class OfPatient(PageQuery):
    """Whose prescriptions, and which of them."""

    patient_id: UUID
    status: Status | None = None


class In(BaseModel):
    """In which language."""

    model_config = ConfigDict(extra="forbid")

    language: Language = "en"


@api.post(
    "/prescriptions",
    access=roles("DENTIST", clinic="clinic_id"),
    returns=Prescription,
    status=201,
    problems=[AllergyConflict, AllergiesUnknown, NotFound, PersonErased, Unavailable],
)
def issue(body: NewPrescription, caller: Caller) -> Reply[Prescription]:
    """Issue a prescription; the patient is told. An allergy that is recorded at the same time is
    either seen by the check, or comes after it. 503 where the allergies cannot be known now."""
    override = body.override
    wanted = Wanted(
        body.patient_id,
        body.clinic_id,
        body.treatment_id,
        content(body),
        None if override is None else Waiver(override.reason, override.allergy_ids),
    )
    made = prescriptions.issue(wanted, caller)
    where = f"/api/treatments/prescriptions/{made.row['prescription_id']}"
    return Reply(Prescription.of(made), etag=made.row["version"], location=where)


@api.get(
    "/prescriptions",
    access=roles("DENTIST") | roles("ADMIN", clinic=GROUP) | owner("patient_id"),
    returns=Page[Prescription],
    problems=[Forbidden],
)
def list_prescriptions(query: OfPatient, caller: Caller) -> Page[Prescription]:
    """A patient's prescriptions, newest first; an ADMIN of the group says what for."""
    must_say_what_for(caller, query.patient_id, "DENTIST")
    page = prescriptions.list_of(
        query.patient_id, query, query.status, me=caller.id, everything=sees_everything(caller)
    )
    return page.map(Prescription.of)


@api.get(
    "/prescriptions/{prescription_id}", access=anyone(), returns=Prescription, problems=[NotFound]
)
def show(prescription_id: UUID, caller: Caller) -> Reply[Prescription]:
    """One prescription; 404 for everybody but its patient, dentists, and ADMINs of the
    group who say what for."""
    found = prescriptions.show(prescription_id, me=caller.id, everything=sees_everything(caller))
    return Reply(Prescription.of(found), etag=found.row["version"])


@api.get(
    "/prescriptions/{prescription_id}/print",
    access=anyone(),
    returns=Printed,
    problems=[NotFound],
)
def show_for_print(prescription_id: UUID, query: In, caller: Caller) -> Printed:
    """What to print, its directions in words of ``language``; for whom the prescription is."""
    found = prescriptions.show(prescription_id, me=caller.id, everything=sees_everything(caller))
    return Printed.of(found, query.language)


@api.post(
    "/prescriptions/{prescription_id}/cancel",
    access=roles("DENTIST"),
    returns=Prescription,
    problems=[NotFound, NotIssued, Forbidden, PersonErased],
)
def cancel(prescription_id: UUID, body: Cancel, caller: Caller) -> Reply[Prescription]:
    """Take a prescription back, by a dentist of its clinic; of several who do, one succeeds."""
    found = prescriptions.cancel(prescription_id, body.reason, caller)
    return Reply(Prescription.of(found), etag=found.row["version"])
