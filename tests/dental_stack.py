"""The dental records service on a database of its own: its HTTP edge, its handlers, its bus."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from functions.dental_records import main
from shared.contracts.patient import PatientRegistered
from shared.identity import Caller
from shared.types import uuid7
from tests.service_stack import ServiceStack

__all__ = ["CARIES", "DentalStack", "admin", "dentist", "patient", "receptionist"]

CLINIC = "01900000-0000-7000-8000-00000000000c"
CARIES = {"tooth": "16", "surfaces": ["O", "M"], "code": "K02.1"}


def _person(role: str, place: str, identity: UUID | None = None) -> Caller:
    held = frozenset({role})
    return Caller("person", id=identity or uuid7(), roles=held, clinics={place: held})


def dentist() -> Caller:
    """Somebody who treats, at one clinic."""
    return _person("DENTIST", CLINIC)


def receptionist() -> Caller:
    """Somebody at the desk of one clinic."""
    return _person("RECEPTIONIST", CLINIC)


def admin() -> Caller:
    """An ADMIN of the group."""
    return _person("ADMIN", "*")


def patient(patient_id: UUID) -> Caller:
    """A patient, signed in."""
    return _person("PATIENT", "*", patient_id)


class DentalStack(ServiceStack):
    """The dental records service, asked by a dentist unless somebody else is named."""

    service = main.service

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.by = self.dentist = dentist()

    def ok(self, method: str, path: str, body: Any = None, **named: Any) -> Any:
        """The JSON of a request that succeeds."""
        answer = self.send(method, path, body, **named)
        assert answer.status_code in (200, 201), answer.text
        return answer.json

    def registered(self, patient_id: UUID | None = None) -> UUID:
        """Somebody of whom this service has heard."""
        found = patient_id or uuid4()
        self.receive(PatientRegistered(patient_id=found), version=1)
        return found

    def diagnosed(self, patient_id: UUID, **fields: Any) -> Any:
        """A problem like caries in the biting surface of an upper molar, apart from ``fields``."""
        return self.ok("POST", f"/{patient_id}/problems", {**CARIES, **fields})

    def performed(self, patient_id: UUID, **fields: Any) -> Any:
        """An intervention like its filling, apart from ``fields``."""
        body = {"procedure": "FILLING", "teeth": [{"tooth": "16", "surfaces": ["O", "M"]}]}
        return self.ok("POST", f"/{patient_id}/interventions", {**body, **fields})

    def chart(self, patient_id: UUID, query: str = "") -> Any:
        """The chart."""
        return self.ok("GET", f"/{patient_id}/chart{query}")
