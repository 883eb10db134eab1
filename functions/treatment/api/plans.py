"""Treatment plans: offered by dentists, read by their patients.

A plan says what somebody needs (GDPR, article 9). Its patient and dentists see it; reception sees
the plans of its clinics, because it explains what they cost and takes signatures.
"""

from __future__ import annotations

from uuid import UUID

from functions.treatment.api.base import api, must_say_what_for, viewer
from functions.treatment.api.plan_shapes import (
    NewTreatment,
    Revision,
    Summary,
    Treatment,
    Version,
    content,
)
from functions.treatment.domain.plans import ItemDone, PlanCompleted, Status
from functions.treatment.service import plans
from shared.access import GROUP, anyone, owner, roles
from shared.errors import Forbidden, Invalid, NotFound, StaleVersion
from shared.http import IfMatch, Reply
from shared.identity import Caller
from shared.pages import Page, PageQuery
from shared.privacy import PersonErased


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
        content(body),
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
    return page.map(Summary.brief)


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
    return page.map(lambda version: Version.of(*version))


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
    plan = content(body)
    named = {item.item_id for phase in body.phases for item in phase.items if item.item_id}
    shown = plans.revise(
        treatment_id, if_match, plan, named=named, by=caller, viewer=viewer(caller)
    )
    return Treatment.of(shown)
