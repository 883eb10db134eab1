"""Who left a clinic cannot be booked there any more."""

from __future__ import annotations

from uuid import UUID

import pytest

from shared.contracts.auth import HeldRole, RolesChanged
from shared.types import uuid7
from tests.appointment_stack import (
    NINE,
    NOW,
    WEEK,
    AppointmentStack,
    Clinic,
    clinic_fixture,
    time_fixture,
)
from tests.service_stack import stack_fixture

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
at = time_fixture()


def _dentist(stack: AppointmentStack, who: UUID, *places: UUID | None, version: int) -> None:
    roles = [HeldRole(role="DENTIST", clinic_id=place) for place in places]
    outcome = stack.receive(RolesChanged(person_id=who, roles=roles), version=version)
    assert "handled" == outcome


def _shown(stack: AppointmentStack, clinic: Clinic, who: UUID) -> tuple[int, bool]:
    answer = stack.send("GET", f"{clinic.path}/practitioners/{who}", by=clinic.desk)
    return int(answer.headers["ETag"].strip('"')), answer.get_json()["active"]


def test_who_has_left_is_not_booked(stack: AppointmentStack, clinic: Clinic) -> None:
    """Whose account is closed has no free slots and gets no appointment; what is booked stays."""
    doctor, kind, patient = clinic.practitioner(), clinic.type(30), stack.patient()
    made = stack.made("POST", "", stack.order(patient, doctor, kind, NINE), by=clinic.desk)
    assert stack.slots(doctor, kind, NOW)
    _dentist(stack, doctor, version=4)
    assert (2, False) == _shown(stack, clinic, doctor)
    order = stack.order(stack.patient(), doctor, kind, NINE.replace(hour=8))
    refused = stack.send("POST", "", order, by=clinic.desk)
    assert (409, "Not bookable") == (refused.status_code, refused.get_json()["title"])
    kept = stack.send("GET", f"/{made['appointment_id']}", by=clinic.desk)
    assert "CONFIRMED" == kept.get_json()["status"]


@pytest.mark.parametrize("everywhere", [False, True])
def test_who_stays_is_booked(stack: AppointmentStack, clinic: Clinic, everywhere: bool) -> None:
    """A role at the clinic, or in the whole group, is enough; what it was does not matter."""
    doctor, kind = clinic.practitioner(), clinic.type(30)
    _dentist(stack, doctor, uuid7(), None if everywhere else clinic.id, version=2)
    assert (1, True) == _shown(stack, clinic, doctor)
    assert stack.slots(doctor, kind, NOW)


def test_one_clinic_is_left(stack: AppointmentStack, clinic: Clinic) -> None:
    """Who moves to another clinic is booked there and not here; each change is on record."""
    other = Clinic(stack, "Europe/Bucharest")
    doctor = clinic.practitioner()
    other.practitioner(WEEK, doctor)
    _dentist(stack, doctor, other.id, version=2)
    assert (2, False) == _shown(stack, clinic, doctor)
    assert (1, True) == _shown(stack, other, doctor)
    noted = stack.rows(
        "select service from audit_log where person_id = :p and action = 'write'", p=doctor
    )
    assert [{"service": "auth"}] == noted


def test_staff_of_the_clinic_have_the_last_word(stack: AppointmentStack, clinic: Clinic) -> None:
    """Who is made bookable again by hand stays so, whatever older message arrives late or again."""
    doctor = clinic.practitioner()
    _dentist(stack, doctor, version=5)
    body = {"display_name": "Dr. Popa", "hours": WEEK, "active": True}
    path = f"{clinic.path}/practitioners/{doctor}"
    again = stack.send("PUT", path, body, by=clinic.desk, headers={"If-Match": '"2"'})
    assert 200 == again.status_code, again.get_json()
    _dentist(stack, doctor, version=3)
    _dentist(stack, doctor, version=5)
    assert (3, True) == _shown(stack, clinic, doctor)
    _dentist(stack, doctor, version=6)
    assert (4, False) == _shown(stack, clinic, doctor)
