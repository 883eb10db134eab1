"""Booking over HTTP: who gets a slot, who may ask, and what is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.types import uuid7
from tests.appointment_stack import (
    NINE,
    NOW,
    AppointmentStack,
    Clinic,
    clinic_fixture,
    person,
    time_fixture,
    utc,
)
from tests.service_stack import stack_fixture

HALF = timedelta(minutes=30)

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
at = time_fixture()


def booked(stack: AppointmentStack, clinic: Clinic, *order: Any, **more: Any) -> dict[str, Any]:
    """A booking by the desk."""
    return stack.made("POST", "", stack.order(*order, **more), by=clinic.desk)


def test_a_booking_takes_the_slot_and_tells(stack: AppointmentStack, clinic: Clinic) -> None:
    """The slot is gone from those that are free, and one booking is told as booked and confirmed
    in the clinic's time zone."""
    doctor, kind = clinic.practitioner(), clinic.type()
    assert NINE in stack.slots(doctor, kind, NOW)
    stack.types()
    order = stack.order(stack.patient(), doctor, kind, NINE)
    answer = stack.send("POST", "", order, by=clinic.desk)
    made = answer.get_json()
    assert (201, '"1"', f"/api/appointments/{made['appointment_id']}") == (
        answer.status_code,
        answer.headers["ETag"],
        answer.headers["Location"],
    )
    assert ("CONFIRMED", 15000, "RON", "Europe/Bucharest") == (
        made["status"],
        made["amount"],
        made["currency"],
        made["time_zone"],
    )
    told = {env.event_type: env for env in stack.sent}
    assert {"APPOINTMENT_BOOKED", "APPOINTMENT_CONFIRMED"} == told.keys()
    assert {1} == {env.metadata.aggregate_version for env in told.values()}
    assert made["appointment_id"] == told["APPOINTMENT_CONFIRMED"].metadata.aggregate_id
    free = stack.slots(doctor, kind, NOW)
    assert [NINE + HALF, NINE + HALF * 1.5] == free[:2]


def test_the_loser_is_offered_the_next_slots(stack: AppointmentStack, clinic: Clinic) -> None:
    """Whoever comes second is told who has no time, and the next three free slots."""
    doctor, kind = clinic.practitioner(), clinic.type(60)
    booked(stack, clinic, stack.patient(), doctor, kind, NINE)
    order = stack.order(stack.patient(), doctor, kind, NINE + HALF)
    answer = stack.send("POST", "", order, by=clinic.desk)
    problem = answer.get_json()
    assert (409, "urn:dentalhelp:problem:slot-taken", "PRACTITIONER") == (
        answer.status_code,
        problem["type"],
        problem["reason"],
    )
    starts = [datetime.fromisoformat(slot["starts_at"]) for slot in problem["next"]]
    ten = NINE + HALF * 2
    assert [ten, ten + HALF / 2, ten + HALF] == starts
    assert (
        201
        == stack.send(
            "POST", "", {**order, "starts_at": problem["next"][0]["starts_at"]}, by=clinic.desk
        ).status_code
    )


def test_nobody_is_in_two_places(stack: AppointmentStack, clinic: Clinic) -> None:
    """A patient who is with one practitioner cannot be booked with another, nor a practitioner who
    works at two clinics in both."""
    one, two, kind = clinic.practitioner(), clinic.practitioner(), clinic.type()
    patient = stack.patient()
    booked(stack, clinic, patient, one, kind, NINE)
    answer = stack.send("POST", "", stack.order(patient, two, kind, NINE), by=clinic.desk)
    assert (409, "PATIENT") == (answer.status_code, answer.get_json()["reason"])
    other = Clinic(stack, "Europe/Bucharest")
    other.practitioner(identity=one)
    order = stack.order(stack.patient(), one, other.type(), NINE)
    answer = stack.send("POST", "", order, by=other.desk)
    assert (409, "PRACTITIONER") == (answer.status_code, answer.get_json()["reason"])


def test_a_chair_is_found_while_there_is_one(stack: AppointmentStack) -> None:
    """Two chairs serve two practitioners at once; a third is refused until a chair is free."""
    clinic = Clinic(stack, "Europe/Bucharest")
    kind = clinic.type(needs_chair=True)
    order = stack.order(stack.patient(), clinic.practitioner(), kind, NINE)
    answer = stack.send("POST", "", order, by=clinic.desk)
    assert "urn:dentalhelp:problem:not-bookable" == answer.get_json()["type"]
    chairs = {clinic.chair(), clinic.chair()}
    found = [
        booked(stack, clinic, stack.patient(), clinic.practitioner(), kind, NINE)["chair_id"]
        for _ in chairs
    ]
    assert chairs == {UUID(chair) for chair in found}
    answer = stack.send("POST", "", order, by=clinic.desk)
    assert (409, "CHAIR") == (answer.status_code, answer.get_json()["reason"])
    first = datetime.fromisoformat(answer.get_json()["next"][0]["starts_at"])
    assert NINE + HALF == first
    order["starts_at"], order["chair_id"] = first.isoformat(), found[1]
    assert found[1] == stack.made("POST", "", order, by=clinic.desk)["chair_id"]


def test_a_gap_between_two_in_one_chair_is_free(stack: AppointmentStack) -> None:
    """Of the only chair's day, somebody else is offered what lies between the appointments in it,
    and none of their time, however they follow each other."""
    clinic = Clinic(stack, "Europe/Bucharest")
    clinic.chair()
    doctor, other, kind = (
        clinic.practitioner(),
        clinic.practitioner(),
        clinic.type(needs_chair=True),
    )
    for start in (NINE + 3 * HALF, NINE, NINE + HALF):
        booked(stack, clinic, stack.patient(), doctor, kind, start)
    offered = [slot for slot in stack.slots(other, kind, NOW) if slot < NINE + 5 * HALF]
    assert [NINE + 2 * HALF, NINE + 4 * HALF, NINE + 4 * HALF + HALF / 2] == offered


@pytest.mark.parametrize(
    ("starts", "reason"),
    [
        (utc("2026-03-02T06:45"), "OUTSIDE_HOURS"),
        (utc("2026-03-02T10:45"), "OUTSIDE_HOURS"),  # runs into lunch
        (utc("2026-03-07T09:00"), "OUTSIDE_HOURS"),  # a Saturday
        (utc("2026-03-02T04:00"), "PAST"),
        (utc("2019-03-02T04:00"), "PAST"),
        (utc("2036-03-02T04:00"), "TOO_FAR"),
        (utc("9999-12-31T23:00"), "TOO_FAR"),
    ],
)
def test_what_is_not_offered_is_refused(
    stack: AppointmentStack, clinic: Clinic, starts: datetime, reason: str
) -> None:
    """Outside the hours nothing is booked, not even by the desk; free slots are named instead."""
    doctor, kind = clinic.practitioner(), clinic.type()
    order = stack.order(stack.patient(), doctor, kind, starts)
    answer = stack.send("POST", "", order, by=clinic.desk)
    problem = answer.get_json()
    assert (409, "urn:dentalhelp:problem:slot-not-offered", reason) == (
        answer.status_code,
        problem["type"],
        problem["reason"],
    )
    assert 3 == len(problem["next"])


def test_patients_book_what_is_offered_and_for_themselves(
    stack: AppointmentStack, clinic: Clinic
) -> None:
    """A patient books an offered slot, none between, and for nobody else; the desk may do all."""
    doctor, kind, patient = clinic.practitioner(), clinic.type(), stack.patient()
    me = person("PATIENT", identity=patient)
    between = NINE + timedelta(minutes=7)
    answer = stack.send("POST", "", stack.order(patient, doctor, kind, between), by=me)
    assert (409, "OFF_GRID") == (answer.status_code, answer.get_json()["reason"])
    somebody = stack.patient()
    order = stack.order(somebody, doctor, kind, NINE)
    assert 403 == stack.send("POST", "", order, by=me).status_code
    elsewhere = person("RECEPTIONIST", uuid7())
    assert 403 == stack.send("POST", "", order, by=elsewhere).status_code
    assert 201 == stack.send("POST", "", {**order, "patient_id": str(patient)}, by=me).status_code
    between += timedelta(minutes=60)
    assert (
        201
        == stack.send(
            "POST", "", stack.order(somebody, doctor, kind, between), by=clinic.desk
        ).status_code
    )


def test_what_cannot_be_booked(stack: AppointmentStack, clinic: Clinic) -> None:
    """An unknown type is 404; a type or practitioner that is not offered any more is a conflict."""
    doctor, kind, patient = clinic.practitioner(), clinic.type(), stack.patient()
    unknown = stack.order(patient, doctor, uuid7(), NINE)
    assert 404 == stack.send("POST", "", unknown, by=clinic.desk).status_code
    stranger = stack.order(patient, uuid7(), kind, NINE)
    assert 409 == stack.send("POST", "", stranger, by=clinic.desk).status_code
    change = {"display_name": "Dr. Popa", "hours": [], "active": False}
    path = f"{clinic.path}/practitioners/{doctor}"
    assert 200 == stack.send("PUT", path, change, by=clinic.desk, match=1).status_code
    gone = stack.send("POST", "", stack.order(patient, doctor, kind, NINE), by=clinic.desk)
    assert "urn:dentalhelp:problem:not-bookable" == gone.get_json()["type"]


def test_a_repeated_booking_is_one(stack: AppointmentStack, clinic: Clinic) -> None:
    """A booking that is repeated with its Idempotency-Key is the same appointment; a refused one
    leaves nothing behind and may be tried again with another slot."""
    doctor, kind = clinic.practitioner(), clinic.type()
    order = stack.order(stack.patient(), doctor, kind, NINE)
    stack.types()
    first, second = (stack.send("POST", "", order, by=clinic.desk, key="k-1") for _ in range(2))
    assert (201, first.get_json()) == (second.status_code, second.get_json())
    assert 1 == stack.types().count("APPOINTMENT_BOOKED")
    order["patient_id"] = str(stack.patient())
    for _ in range(2):
        assert 409 == stack.send("POST", "", order, by=clinic.desk, key="k-2").status_code
    assert [] == stack.types()


def test_a_note_is_sealed(stack: AppointmentStack, clinic: Clinic) -> None:
    """What is written about an appointment is readable for its patient and its clinic only."""
    doctor, kind, patient = clinic.practitioner(), clinic.type(), stack.patient()
    made = booked(stack, clinic, patient, doctor, kind, NINE, note="afraid of needles")
    path = f"/{made['appointment_id']}"
    for reader in (clinic.desk, person("PATIENT", identity=patient), person("ADMIN")):
        assert "afraid of needles" == stack.send("GET", path, by=reader).get_json()["note"]
    for reader in (person("PATIENT"), person("DENTIST", uuid7())):
        assert 404 == stack.send("GET", path, by=reader).status_code
    stored = stack.rows("select note from appointments where patient_id = :p", p=patient)
    assert b"needles" not in bytes(stored[0]["note"])


def test_a_booking_is_few_round_trips(
    stack: AppointmentStack, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours, patient and type are one exchange, the slot and its appointment another, and the
    third is the outbox with the commit."""
    from shared.tx import Tx

    doctor, kind, patient = clinic.practitioner(), clinic.type(), stack.patient()
    exchanges: list[int] = []
    send = Tx._send

    def counted(self: Tx, batch: Any) -> Any:
        exchanges.append(len(batch))
        return send(self, batch)

    monkeypatch.setattr(Tx, "_send", counted)
    booked(stack, clinic, patient, doctor, kind, NINE)
    assert 3 == len(exchanges)
