"""The patient service on a database of its own: its HTTP edge, its handlers, its bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from functions.patient import main
from shared.contracts.auth import EmailUpdated
from shared.contracts.patient import CreatePatient, RemovePatient
from shared.errors import Problem
from shared.identity import Caller
from shared.inbox import Outcome
from shared.messages import Envelope, Message, SagaContext, envelope
from shared.types import uuid7
from tests.service_stack import ServiceStack

CLINIC = "01900000-0000-7000-8000-00000000000c"
# Valid numbers of nobody in particular: three CNPs and a NIK.
CNPS = ("1960229410015", "2960229410025", "5010203410033")
NIK = "3201014107950003"


def person(role: str, identity: UUID | None = None) -> Caller:
    """Somebody signed in; staff hold their role at one clinic, patients everywhere."""
    place = "*" if role == "PATIENT" else CLINIC
    roles = frozenset({role})
    return Caller("person", id=identity or uuid7(), roles=roles, clinics={place: roles})


class PatientStack(ServiceStack):
    """The patient service, and what auth asks of it."""

    service = main.service

    def command(self, message: Message, **named: Any) -> Problem | None:
        """Deliver ``message`` as a saga's command; the refusal, if it was refused."""
        self.refused.clear()
        outcome = self.deliver(self.letter(message, **named))
        assert outcome in ("handled", "refused")
        return self.refused[-1]

    def letter(self, message: Message, **named: Any) -> Envelope:
        """``message`` as auth's saga sends it."""
        saga = SagaContext(
            saga_id=uuid7(),
            step="create profile",
            action="undo" if isinstance(message, RemovePatient) else "do",
            orchestrator="auth",
        )
        return envelope(message, source="auth", saga=saga, **named)

    def register(self, patient_id: UUID | None = None, **fields: Any) -> UUID:
        """A patient like Ana Popescu, apart from ``fields``."""
        identity = patient_id or uuid7()
        assert self.command(ana(identity, **fields)) is None
        return identity

    def email(self, patient_id: UUID, address: str, version: int) -> Outcome:
        """Deliver auth's news of an address."""
        event = EmailUpdated(person_id=patient_id, email=address)
        return self.receive(event, version=version)

    def count(self, patient_id: UUID) -> Mapping[str, int]:
        """How many rows each table has of this person."""
        tables = {
            "patients": "patient_id",
            "patient_anamnesis": "patient_id",
            "patient_words": "patient_id",
            "subject_keys": "subject",
            "early_emails": "patient_id",
            "removed_patients": "patient_id",
        }
        return {
            table: self.rows(
                f"select count(*) as n from {table} where {column} = :patient_id",
                patient_id=patient_id,
            )[0]["n"]
            for table, column in tables.items()
        }


def ana(patient_id: UUID, **fields: Any) -> CreatePatient:
    """The command that makes Ana Popescu's profile."""
    given: dict[str, Any] = {
        "email": "ana@example.com",
        "email_version": 1,
        "first_name": "Ana",
        "last_name": "Popescu",
        "language": "ro",
    }
    return CreatePatient(patient_id=patient_id, **{**given, **fields})
