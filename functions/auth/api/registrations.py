"""Registrations and invitations."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from functions.auth import sagas
from functions.auth.api.base import Body, api
from functions.auth.service import accounts, staff
from shared.access import public, roles
from shared.errors import Conflict, NotFound, Unauthenticated
from shared.http import Reply
from shared.identity import Caller
from shared.national_ids import NationalId
from shared.types import (
    BirthDate,
    Email,
    Language,
    PersonName,
    Phone,
)

Told = Annotated[str, Field(max_length=10_000)]


class Anamnesis(Body):
    """The medical history, in the person's own words; encrypted at rest."""

    allergies: Told | None = None
    chronic_conditions: Told | None = None
    medications: Told | None = None
    notes: Told | None = None


class Profile(Body):
    """A person who registers."""

    first_name: PersonName
    last_name: PersonName
    national_id: NationalId | None = None
    phone: Phone | None = None
    birth_date: BirthDate | None = None
    language: Language = "en"
    anamnesis: Anamnesis | None = None

    def data(self, email: str | None) -> dict[str, Any]:
        """What the registration saga carries."""
        told = self.anamnesis and self.anamnesis.model_dump(exclude_none=True)
        profile = self.model_dump(mode="json", exclude={"email", "password", "anamnesis"})
        return {**profile, "email": email, "anamnesis": told}


class Register(Profile):
    """A person who registers by themselves."""

    email: Email
    password: str = Field(max_length=1024)


class Invite(Profile):
    """A person whom the reception registers; the e-mail address may come later."""

    email: Email | None = None


class Registering(BaseModel):
    """A registration that is under way."""

    patient_id: UUID
    registration_id: UUID
    status: Literal["PENDING"] = "PENDING"


class Invited(Registering):
    """The same, with the link to hand to the person."""

    link: str


class StepState(BaseModel):
    """One step of a registration."""

    name: str
    state: str


class Registration(BaseModel):
    """How far a registration is; ACTIVE as soon as the person may come in, even while an e-mail
    is still to be sent."""

    status: sagas.Status
    steps: list[StepState]


class AcceptInvitation(Body):
    """The first password; the e-mail address if the reception did not know one."""

    token: str = Field(max_length=8192)
    password: str = Field(max_length=1024)
    email: Email | None = None


class Link(BaseModel):
    """A one-time link by which a person sets a password."""

    link: str


@api.post("/register", access=public(), returns=Registering, status=201, problems=[Conflict])
def register(body: Register) -> Reply[Registering]:
    """Register as a patient; 409 when the e-mail address or national id is known."""
    patient_id, registration_id = sagas.register(body.data(body.email), body.password)
    made = Registering(patient_id=patient_id, registration_id=registration_id)
    return Reply(made, location=f"{api.prefix}/registrations/{registration_id}")


@api.get(
    "/registrations/{registration_id}", access=public(), returns=Registration, problems=[NotFound]
)
def follow_registration(registration_id: UUID) -> Registration:
    """How far a registration is; its id is known to who began it only."""
    found = sagas.show(registration_id)
    if found is None:
        raise NotFound("There is no such registration.")
    return Registration(
        status=found.status,
        steps=[StepState(name=name, state=state) for name, state in found.steps],
    )


@api.post(
    "/invitations",
    access=roles("RECEPTIONIST", "ADMIN"),
    returns=Invited,
    status=201,
    problems=[Conflict],
)
def invite(body: Invite) -> Reply[Invited]:
    """Register a person who sets the password later, by the link that is returned."""
    patient_id, registration_id, link = sagas.invite(body.data(body.email))
    made = Invited(patient_id=patient_id, registration_id=registration_id, link=link)
    return Reply(made, location=f"{api.prefix}/registrations/{registration_id}")


@api.post("/invitations/accept", access=public(), problems=[Unauthenticated, Conflict])
def accept_invitation(body: AcceptInvitation) -> None:
    """Set the first password by an invitation's token, once."""
    accounts.accept_invitation(body.token, body.password, body.email)


@api.post(
    "/users/{user_id}/invitation",
    access=roles("RECEPTIONIST", "ADMIN"),
    returns=Link,
    status=201,
    problems=[NotFound, Conflict],
)
def invite_again(user_id: UUID, caller: Caller) -> Link:
    """A new link for a person who lost theirs."""
    return Link(link=staff.invite_again(user_id, caller))
