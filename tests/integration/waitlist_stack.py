"""Somebody waits for a slot: wishes, what they are offered, and how slots get free."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.appointment_stack import AppointmentStack, Clinic, person, utc

__all__ = [
    "DAY",
    "HALF",
    "NINE",
    "answer_to",
    "booked",
    "cancel",
    "look",
    "windows",
    "wish",
]

NINE = utc("2026-03-03T07:00")
HALF = timedelta(minutes=30)
DAY = (NINE, NINE + timedelta(hours=8))


def windows(*spans: tuple[datetime, datetime]) -> list[dict[str, str]]:
    """The windows of a wish as its body has them."""
    return [{"starts_at": a.isoformat(), "ends_at": b.isoformat()} for a, b in spans]


def wish(
    stack: AppointmentStack,
    clinic: Clinic,
    kind: UUID,
    *spans: tuple[datetime, datetime],
    patient: UUID | None = None,
    doctor: UUID | None = None,
) -> dict[str, Any]:
    """Somebody waits."""
    body = {
        "patient_id": str(patient or stack.patient()),
        "clinic_id": str(clinic.id),
        "type_id": str(kind),
        "windows": windows(*(spans or (DAY,))),
    }
    if doctor is not None:
        body["practitioner_id"] = str(doctor)
    return stack.made("POST", "/waitlist", body, by=clinic.desk)


def look(stack: AppointmentStack, made: dict[str, Any]) -> dict[str, Any]:
    """The wish as its patient sees it now."""
    patient = person("PATIENT", identity=UUID(made["patient_id"]))
    return stack.made("GET", f"/waitlist/{made['wish_id']}", None, by=patient)


def booked(stack: AppointmentStack, clinic: Clinic, *order: Any) -> dict[str, Any]:
    """Somebody else has an appointment."""
    return stack.made("POST", "", stack.order(stack.patient(), *order), by=clinic.desk)


def cancel(stack: AppointmentStack, clinic: Clinic, visit: dict[str, Any]) -> None:
    """They do not come."""
    path = f"/{visit['appointment_id']}/cancel"
    answer = stack.send("POST", path, {}, by=clinic.desk, match=visit["version"])
    assert 200 == answer.status_code, answer.text


def answer_to(stack: AppointmentStack, offer: dict[str, Any], how: str, who: UUID) -> int:
    """The status of the patient's answer to an offer."""
    path = f"/offers/{offer['offer_id']}/{how}"
    return stack.send("POST", path, by=person("PATIENT", identity=who)).status_code
