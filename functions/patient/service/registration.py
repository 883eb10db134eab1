"""How a patient comes to be, or not: the commands of a registration, and auth's e-mail address."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from functions.patient.domain import (
    NO_ANAMNESIS,
    Anamnesis,
    PatientRemoved,
    Profile,
)
from functions.patient.store import arrivals, records
from shared.audit import record
from shared.contracts.patient import CreatePatient, PatientRegistered
from shared.crypto import shred
from shared.db import Tx, UniqueViolation
from shared.errors import Invalid
from shared.national_ids import NationalId
from shared.runtime import vault
from shared.types import BirthDate, Language, PersonName, Phone

__all__ = ["create", "follow_email", "purge", "remove"]


class _Checked(BaseModel):
    """The rules of what a command brings. The e-mail address is as auth says it is."""

    model_config = ConfigDict(extra="forbid")

    first_name: PersonName
    last_name: PersonName
    national_id: NationalId | None
    phone: Phone | None
    birth_date: BirthDate | None
    language: Language
    anamnesis: Anamnesis | None


def create(command: CreatePatient, tx: Tx) -> None:
    """Make the profile and the anamnesis, or neither; a second time changes nothing.

    Raises Invalid, NationalIdTaken, PatientRemoved.
    """
    given = _check(command)
    patient_id = command.patient_id
    arrivals.lock(tx, patient_id)
    removed, early = arrivals.arrive(tx, patient_id)
    if removed:
        raise PatientRemoved
    email, version = command.email, command.email_version
    if early is not None and early[1] > version:
        email, version = early
    profile = Profile(
        first_name=given.first_name,
        last_name=given.last_name,
        national_id=None if given.national_id is None else given.national_id.value,
        phone=given.phone,
        birth_date=given.birth_date,
        language=given.language,
    )
    key = vault("patient").new_subject(tx, patient_id)
    try:
        made = records.insert(
            tx,
            key,
            patient_id,
            profile,
            given.anamnesis or NO_ANAMNESIS,
            email=email,
            email_version=version,
        )
    except UniqueViolation as error:
        records.refused(error)
    if made:
        record(tx, patient_id, "create", "profile")
        tx.emit(PatientRegistered(patient_id=patient_id), version=1)


def remove(patient_id: UUID, tx: Tx) -> None:
    """Delete the person's rows and key for good: no late message brings them back."""
    arrivals.lock(tx, patient_id)
    arrivals.remove(tx, patient_id)
    if shred(tx, patient_id):
        record(tx, patient_id, "erase", "profile")


def follow_email(patient_id: UUID, email: str, version: int, since: datetime, tx: Tx) -> None:
    """Follow auth, where it is so ``since``, by its versions: never backwards, whatever came
    first."""
    if arrivals.set_email(tx, patient_id, email, version, since):
        record(tx, patient_id, "write", "email")


def purge(tx: Tx) -> int:
    """Forget the addresses of people who did not become patients (auth's staff, for one)."""
    return arrivals.purge_early_emails(tx)


def _check(command: CreatePatient) -> _Checked:
    data: dict[str, Any] = command.model_dump(exclude={"patient_id", "email", "email_version"})
    try:
        return _Checked.model_validate(data)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        raise Invalid(
            "Not acceptable: "
            + "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
        ) from None
