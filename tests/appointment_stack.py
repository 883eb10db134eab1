"""The appointment service on a database of its own: its HTTP edge, its handlers, its messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from functions.appointment import main
from shared.contracts.auth import ClinicUpdated
from shared.contracts.patient import PatientRegistered
from shared.identity import Caller
from shared.testing import FrozenClock, frozen
from shared.types import uuid7
from tests.service_stack import ServiceStack

__all__ = [
    "DAYS",
    "NINE",
    "NOW",
    "WEEK",
    "AppointmentStack",
    "Clinic",
    "Visit",
    "clinic_fixture",
    "person",
    "shift",
    "time_fixture",
    "utc",
]

DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


def shift(day: str, starts: str, ends: str, *breaks: tuple[str, str]) -> dict[str, Any]:
    """One entry of weekly hours."""
    away = [{"starts": start, "ends": end} for start, end in breaks]
    return {"weekday": day, "starts": starts, "ends": ends, "breaks": away}


WEEK = [shift(day, "09:00", "17:00", ("13:00", "14:00")) for day in DAYS[:5]]
"""Monday to Friday, with an hour for lunch."""


def utc(text: str) -> datetime:
    """A moment such as ``2026-03-02T07:00``."""
    return datetime.fromisoformat(text + "+00:00")


def person(role: str, place: UUID | None = None, identity: UUID | None = None) -> Caller:
    """Somebody signed in; staff hold their role at ``place``, or for the group."""
    held = {str(place) if place and role != "PATIENT" else "*": frozenset({role})}
    return Caller("person", id=identity or uuid7(), roles=frozenset({role}), clinics=held)


NOW = utc("2026-03-02T05:00")
"""A Monday, 07:00 in Bucharest."""
NINE = utc("2026-03-02T07:00")
"""When the working day begins there."""


class Clinic:
    """A clinic with a desk, practitioners, chairs and types, made over HTTP."""

    def __init__(self, stack: AppointmentStack, zone: str) -> None:
        self.stack, self.id = stack, uuid7()
        stack.clinic(self.id, zone)
        self.desk = person("RECEPTIONIST", self.id)
        self.path = f"/clinics/{self.id}"

    def practitioner(
        self, hours: Sequence[Mapping[str, Any]] = WEEK, identity: UUID | None = None
    ) -> UUID:
        """Somebody who has these hours here."""
        practitioner_id = identity or uuid7()
        body = {
            "practitioner_id": str(practitioner_id),
            "display_name": "Dr. Popa",
            "hours": list(hours),
        }
        self.stack.made("POST", f"{self.path}/practitioners", body, by=self.desk)
        return practitioner_id

    def chair(self) -> UUID:
        """One more chair."""
        name = f"Chair {uuid7()}"
        made = self.stack.made("POST", f"{self.path}/chairs", {"name": name}, by=self.desk)
        return UUID(made["chair_id"])

    def type(self, minutes: int = 30, *, needs_chair: bool = False, cutoff: int = 60) -> UUID:
        """One more type of appointment."""
        body = {
            "name": f"Check-up {uuid7()}",
            "duration_minutes": minutes,
            "needs_chair": needs_chair,
            "price": 15000,
            "currency": "RON",
            "cutoff_minutes": cutoff,
        }
        made = self.stack.made("POST", f"{self.path}/types", body, by=self.desk)
        return UUID(made["type_id"])

    def exception(self, kind: str, starts: str, ends: str, who: UUID | None = None) -> UUID:
        """Leave, extra hours or a holiday in local time."""
        body = {"kind": kind, "starts": starts, "ends": ends}
        if who is not None:
            body["practitioner_id"] = str(who)
        made = self.stack.made("POST", f"{self.path}/exceptions", body, by=self.desk)
        return UUID(made["exception_id"])


class AppointmentStack(ServiceStack):
    """The appointment service, and what it hears of clinics and patients."""

    service = main.service

    def clinic(self, clinic_id: UUID, zone: str, version: int = 1) -> None:
        """What auth tells about a clinic."""
        event = ClinicUpdated(
            clinic_id=clinic_id, name="Centru", time_zone=zone, languages=["ro", "en"]
        )
        self.receive(event, version=version)

    def patient(self) -> UUID:
        """Somebody who is a patient."""
        patient_id = uuid7()
        self.receive(PatientRegistered(patient_id=patient_id), version=1)
        return patient_id

    def order(
        self, patient: UUID, practitioner: UUID, type_id: UUID, starts: datetime, **more: Any
    ) -> dict[str, Any]:
        """The body of a booking."""
        return {
            "patient_id": str(patient),
            "practitioner_id": str(practitioner),
            "type_id": str(type_id),
            "starts_at": starts.isoformat(),
            **more,
        }

    def slots(
        self, practitioner: UUID, type_id: UUID, since: datetime, days: int = 1
    ) -> list[datetime]:
        """When free slots begin, for somebody who has no appointments."""
        until = since + timedelta(days=days)
        query = (
            f"practitioner_id={practitioner}&type_id={type_id}"
            f"&from={since:%Y-%m-%dT%H:%M:%SZ}&to={until:%Y-%m-%dT%H:%M:%SZ}"
        )
        answer = self.send("GET", f"/slots?{query}", by=person("PATIENT"))
        assert 200 == answer.status_code, answer.text
        return [datetime.fromisoformat(item["starts_at"]) for item in answer.get_json()["items"]]


class Visit:
    """An appointment at some time with a practitioner of its own; its type has a cut-off of an
    hour."""

    def __init__(
        self,
        clinic: Clinic,
        starts: datetime = NINE,
        patient: UUID | None = None,
        **more: Any,
    ) -> None:
        self.stack, self.clinic = clinic.stack, clinic
        self.doctor, self.kind = clinic.practitioner(), clinic.type(60, cutoff=60)
        self.patient = patient or self.stack.patient()
        order = self.stack.order(self.patient, self.doctor, self.kind, starts, **more)
        self.made = self.stack.made("POST", "", order, by=clinic.desk)
        self.id = self.made["appointment_id"]
        self.me = person("PATIENT", identity=self.patient)
        self.stack.types()

    def do(
        self, what: str, by: Caller | None = None, match: int = 1, **body: Any
    ) -> tuple[int, Any]:
        """The answer to one step."""
        bare = what in ("check-in", "complete", "missed")
        answer = self.stack.send(
            "POST",
            f"/{self.id}/{what}",
            None if bare else body,
            by=by or self.clinic.desk,
            match=match,
        )
        return answer.status_code, answer.get_json()

    def free(self) -> list[datetime]:
        """The free slots of its practitioner."""
        return self.stack.slots(self.doctor, self.kind, NINE - timedelta(hours=2))


def clinic_fixture(zone: str = "Europe/Bucharest") -> Any:
    """A fixture: a clinic of each test's own."""

    @pytest.fixture
    def clinic(stack: AppointmentStack) -> Clinic:
        return Clinic(stack, zone)

    return clinic


def time_fixture(at: datetime = NOW) -> Any:
    """A fixture of every test of the module: the clock stands."""

    @pytest.fixture(autouse=True)
    def time() -> Iterator[FrozenClock]:
        with frozen(at) as clock:
            yield clock

    return time
