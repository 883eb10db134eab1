"""The patient's consent to a version of a plan: said here, or signed on paper.

The body names the version that is decided about: a newer one may be on offer by now, and whoever
agrees must have seen it. That is why these need no If-Match. What is done for the items meanwhile
is no part of what is agreed to.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from functions.treatment.api.base import api, viewer
from functions.treatment.api.plan_shapes import Treatment
from functions.treatment.domain.plans import Decision, NotOffered, PlanVersionReplaced
from functions.treatment.service import plans
from functions.treatment.service.plans import Consent
from shared.access import anyone, roles
from shared.clocks import clock
from shared.errors import Forbidden, Invalid, NotFound
from shared.http import Reply
from shared.identity import Caller
from shared.pages import Moment
from shared.privacy import PersonErased

_Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
_Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
_PROBLEMS = [NotFound, NotOffered, PlanVersionReplaced, PersonErased]


class Accept(BaseModel):
    """Consent to this version."""

    model_config = ConfigDict(extra="forbid")

    plan_version: _Version


class Decline(BaseModel):
    """No to this version, or no longer yes."""

    model_config = ConfigDict(extra="forbid")

    plan_version: _Version
    note: _Note | None = None


class Signed(BaseModel):
    """What the patient signed on paper; ``note`` says where the paper is."""

    model_config = ConfigDict(extra="forbid")

    plan_version: _Version
    decision: Decision
    signed_at: Moment
    note: _Note


@api.post("/{treatment_id}/accept", access=anyone(), returns=Treatment, problems=_PROBLEMS)
def accept(treatment_id: UUID, body: Accept, caller: Caller) -> Reply[Treatment]:
    """The plan's patient consents to a version of it; 404 for anybody else."""
    consent = Consent("ACCEPTED", body.plan_version)
    return Treatment.of(plans.decide(treatment_id, consent, caller, viewer(caller)))


@api.post("/{treatment_id}/decline", access=anyone(), returns=Treatment, problems=_PROBLEMS)
def decline(treatment_id: UUID, body: Decline, caller: Caller) -> Reply[Treatment]:
    """The plan's patient declines a version of it, or withdraws the consent before all is done;
    404 for anybody else."""
    consent = Consent("DECLINED", body.plan_version, body.note)
    return Treatment.of(plans.decide(treatment_id, consent, caller, viewer(caller)))


@api.post(
    "/{treatment_id}/consents",
    access=roles("DENTIST", "RECEPTIONIST"),
    returns=Treatment,
    problems=[*_PROBLEMS, Forbidden, Invalid],
)
def record(treatment_id: UUID, body: Signed, caller: Caller) -> Reply[Treatment]:
    """Staff of the plan's clinic record what the patient signed on paper."""
    if body.signed_at > clock().now():
        raise Invalid(errors=[{"pointer": "/signed_at", "detail": "in the future"}])
    consent = Consent(body.decision, body.plan_version, body.note, body.signed_at)
    return Treatment.of(plans.decide(treatment_id, consent, caller, viewer(caller)))
