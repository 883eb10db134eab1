"""The registration of a patient: account here, profile in patient, then let the person in.

The account is made in the request's own transaction, so a taken e-mail address or national id is
the caller's answer. Behind the pivot an optional step writes to the person, where there is an
address to write to: whether that succeeds changes nothing else.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

from functions.auth.service import accounts
from functions.auth.service.keys import signing_key
from shared.contracts.auth import ActivateUser, CreateUser, RemoveUser
from shared.contracts.notification import SendInvitation, SendWelcome
from shared.contracts.patient import CreatePatient, RemovePatient
from shared.db import Tx
from shared.passwords import hash_password
from shared.runtime import database
from shared.saga import Retry, Saga, SagaData, Step
from shared.types import uuid7

__all__ = ["Progress", "Status", "invite", "register", "sagas", "show"]

Status = Literal["PENDING", "ACTIVE", "FAILED"]
_CREATE_USER = Step("create user", do=CreateUser, undo=RemoveUser)
_CREATE_PROFILE = Step("create profile", do=CreatePatient, undo=RemovePatient)
_ACTIVATE = Step("activate user", do=ActivateUser, pivot=True)
# What was published is delivered whenever notification is back. So the saga, which holds personal
# data as long as it runs, waits for the answer for a minute only.
_MAIL = Retry(every=timedelta(seconds=10), attempts=3)


def _registration(name: str, *mail: Step) -> Saga:
    steps = (_CREATE_USER, _CREATE_PROFILE, _ACTIVATE, *mail)
    return Saga(name, *steps, deadline=timedelta(minutes=15))


_welcomed = _registration(
    "patient registration with welcome",
    Step("send welcome", do=SendWelcome, optional=True, retry=_MAIL),
)
_invited = _registration(
    "patient invitation",
    Step("send invitation", do=SendInvitation, optional=True, retry=_MAIL),
)
# For a person whose e-mail address the reception does not know.
_silent = _registration("patient registration")

sagas = (_welcomed, _invited, _silent)


class Progress(NamedTuple):
    """How far a registration is: ACTIVE once the person may come in, whatever follows."""

    status: Status
    steps: list[tuple[str, str]]
    """Name and state of each."""


def register(profile: dict[str, Any], password: str) -> tuple[UUID, UUID]:
    """Begin a registration: (patient_id, registration_id).

    Raises EmailTaken, NationalIdTaken, Invalid (the password).
    """
    accounts.check_password(password, profile["email"])
    data = {**profile, "password_hash": hash_password(password)}
    return database("auth").transaction(lambda tx: _start(_welcomed, tx, uuid7(), data))


def invite(profile: dict[str, Any]) -> tuple[UUID, UUID, str]:
    """The same for a person without a password: (patient_id, registration_id, link). The link is
    also sent by e-mail where the address is known."""
    key = signing_key()
    saga = _silent if profile["email"] is None else _invited

    def work(tx: Tx) -> tuple[UUID, UUID, str]:
        invitation = accounts.new_invitation(uuid7(), key)
        # The link waits with the saga's other data, sealed, for its step.
        data = {**profile, "link": invitation.link}
        patient_id, registration_id = _start(saga, tx, invitation.person_id, data)
        accounts.keep_invitation(tx, invitation)
        return patient_id, registration_id, invitation.link

    return database("auth").transaction(work)


def show(registration_id: UUID) -> Progress | None:
    """How far a registration is; None where there is none."""
    found = next(filter(None, (saga.show(registration_id) for saga in sagas)), None)
    if found is None:
        return None
    steps = [(step["name"], step["state"]) for step in found["steps"]]
    if (_ACTIVATE.name, "DONE") in steps:
        return Progress("ACTIVE", steps)
    return Progress("FAILED" if found["status"] == "FAILED" else "PENDING", steps)


def _start(saga: Saga, tx: Tx, patient_id: UUID, data: SagaData) -> tuple[UUID, UUID]:
    # Random: who knows a registration's id may follow it.
    registration_id = uuid4()
    saga.start(
        tx,
        data={
            **data,
            "person_id": str(patient_id),
            "patient_id": str(patient_id),
            "email_version": 1,
        },
        subject=patient_id,
        saga_id=registration_id,
    )
    return patient_id, registration_id
