"""The registration of a patient: account here, profile in patient, then let the person in.

The account is made in the request's own transaction, so a taken e-mail address or national id is
the caller's answer. The next issue's welcome and invitation e-mails join as optional steps after
the pivot.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from functions.auth.service import accounts
from functions.auth.service.keys import signing_key
from shared.contracts.auth import ActivateUser, CreateUser, RemoveUser
from shared.contracts.patient import CreatePatient, RemovePatient
from shared.db import Tx
from shared.passwords import hash_password
from shared.runtime import database
from shared.saga import Saga, Step
from shared.types import uuid7

__all__ = ["invite", "register", "registration"]


registration = Saga(
    "patient registration",
    Step("create user", do=CreateUser, undo=RemoveUser),
    Step("create profile", do=CreatePatient, undo=RemovePatient),
    Step("activate user", do=ActivateUser, pivot=True),
    deadline=timedelta(minutes=15),
)


def register(profile: dict[str, Any], password: str) -> tuple[UUID, UUID]:
    """Begin a registration: (patient_id, registration_id).

    Raises EmailTaken, NationalIdTaken, Invalid (the password).
    """
    accounts.check_password(password, profile["email"])
    data = {**profile, "password_hash": hash_password(password)}
    return database("auth").transaction(lambda tx: _start(tx, data))


def invite(profile: dict[str, Any]) -> tuple[UUID, UUID, str]:
    """The same for a person without a password: (patient_id, registration_id, link)."""
    key = signing_key()

    def work(tx: Tx) -> tuple[UUID, UUID, str]:
        patient_id, registration_id = _start(tx, {**profile, "password_hash": None})  # nosec B105
        return patient_id, registration_id, accounts.invitation_link(tx, patient_id, key)

    return database("auth").transaction(work)


def _start(tx: Tx, data: dict[str, Any]) -> tuple[UUID, UUID]:
    patient_id = uuid7()
    # Random: who knows a registration's id may follow it.
    registration_id = uuid4()
    registration.start(
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
