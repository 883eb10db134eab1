"""The waitlist: freed slots go to those who wait, one after the other, and none is lost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from functions.appointment.jobs import offer_freed_slots
from shared.testing import FrozenClock
from tests.appointment_stack import (
    NOW,
    AppointmentStack,
    Clinic,
    clinic_fixture,
    person,
    time_fixture,
)
from tests.integration.waitlist_stack import (
    HALF,
    NINE,
    answer_to,
    booked,
    cancel,
    look,
    wish,
)
from tests.service_stack import stack_fixture

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
time = time_fixture()


def test_a_freed_slot_is_held_for_who_waits(stack: AppointmentStack, clinic: Clinic) -> None:
    """A cancelled appointment's slot is offered and held for half an hour: nobody else can book
    it, and whoever accepts has it."""
    doctor, kind, patient = clinic.practitioner(), clinic.type(), stack.patient()
    visit = booked(stack, clinic, doctor, kind, NINE)
    made = wish(stack, clinic, kind, patient=patient)
    assert look(stack, made)["offer"] is None
    stack.types()
    cancel(stack, clinic, visit)
    offer = look(stack, made)["offer"]
    assert (NINE, NOW + HALF) == tuple(
        datetime.fromisoformat(offer[name]) for name in ("starts_at", "expires_at")
    )
    told = next(env for env in stack.sent if env.event_type == "WAITLIST_SLOT_OFFERED")
    assert (str(patient), "Europe/Bucharest") == (
        told.payload["patient_id"],
        told.payload["time_zone"],
    )
    assert NINE not in stack.slots(doctor, kind, NINE)
    order = stack.order(stack.patient(), doctor, kind, NINE)
    assert 409 == stack.send("POST", "", order, by=clinic.desk).status_code
    stack.types()
    assert 200 == answer_to(stack, offer, "accept", patient)
    assert ["APPOINTMENT_BOOKED", "APPOINTMENT_CONFIRMED"] == stack.types()
    found = look(stack, made)
    assert ("BOOKED", None) == (found["status"], found["offer"])
    appointment = stack.made("GET", f"/{found['appointment_id']}", None, by=clinic.desk)
    assert (str(patient), "CONFIRMED", 15000) == (
        appointment["patient_id"],
        appointment["status"],
        appointment["amount"],
    )


def test_accepting_again_is_the_same_appointment(stack: AppointmentStack, clinic: Clinic) -> None:
    """A second click on the button books nothing more, and cannot decline any more."""
    doctor, kind, patient = clinic.practitioner(), clinic.type(), stack.patient()
    visit = booked(stack, clinic, doctor, kind, NINE)
    made = wish(stack, clinic, kind, patient=patient)
    cancel(stack, clinic, visit)
    offer = look(stack, made)["offer"]
    path, me = f"/offers/{offer['offer_id']}/accept", person("PATIENT", identity=patient)
    one, two = (stack.send("POST", path, by=me).get_json() for _ in "ab")
    assert one["appointment_id"] == two["appointment_id"]
    assert 409 == answer_to(stack, offer, "decline", patient)


def test_the_longest_waiting_comes_first(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """Who waits since an earlier day comes first; of one day the one whose windows end first."""
    doctor, kind = clinic.practitioner(), clinic.type()
    visit = booked(stack, clinic, doctor, kind, NINE + timedelta(days=2))
    week = (NINE, NINE + timedelta(days=7))
    first = wish(stack, clinic, kind, week)
    time.advance(timedelta(days=1))
    relaxed = wish(stack, clinic, kind, week)
    time.advance(HALF)
    urgent = wish(stack, clinic, kind, (NINE, NINE + timedelta(days=3)))
    cancel(stack, clinic, visit)
    order = []
    for _ in range(3):
        for made in (first, relaxed, urgent):
            found = look(stack, made)
            if found["offer"]:
                order.append(made)
                who = UUID(made["patient_id"])
                assert 204 == answer_to(stack, found["offer"], "decline", who)
    assert [first, urgent, relaxed] == order


def test_what_nobody_answers_goes_to_the_next(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """An offer expires after the clinic's time: it is told, cannot be accepted any more, and the
    next in line is asked; at last the slot is free for all."""
    doctor, kind = clinic.practitioner(), clinic.type()
    visit = booked(stack, clinic, doctor, kind, NINE)
    one = wish(stack, clinic, kind)
    two = wish(stack, clinic, kind)
    cancel(stack, clinic, visit)
    offer = look(stack, one)["offer"]
    time.advance(HALF)
    assert 410 == answer_to(stack, offer, "accept", UUID(one["patient_id"]))
    assert look(stack, one)["offer"] is None
    stack.types()
    offer_freed_slots()
    assert ["WAITLIST_OFFER_EXPIRED", "WAITLIST_SLOT_OFFERED"] == stack.types()
    assert look(stack, two)["offer"]["starts_at"] == offer["starts_at"]
    assert NINE not in stack.slots(doctor, kind, NINE)
    time.advance(HALF)
    offer_freed_slots()
    assert NINE in stack.slots(doctor, kind, NINE)
    assert {"WAITING"} == {look(stack, made)["status"] for made in (one, two)}


def test_who_did_not_answer_is_asked_about_another(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """When two offers at one time expire together, each patient is asked about the other's slot."""
    kind, doctors = clinic.type(), [clinic.practitioner() for _ in range(2)]
    visits = [booked(stack, clinic, doctor, kind, NINE) for doctor in doctors]
    made = [wish(stack, clinic, kind) for _ in range(2)]
    for visit in visits:
        cancel(stack, clinic, visit)
    before = [look(stack, one)["offer"]["practitioner_id"] for one in made]
    assert [str(doctor) for doctor in doctors] == before
    time.advance(HALF)
    offer_freed_slots()
    after = [look(stack, one)["offer"]["practitioner_id"] for one in made]
    assert before[::-1] == after


def test_nobody_is_offered_the_same_slot_twice(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """Who declined a slot is not asked again when it is freed once more, but is for another."""
    doctor, kind = clinic.practitioner(), clinic.type()
    visit = booked(stack, clinic, doctor, kind, NINE)
    made = wish(stack, clinic, kind)
    who = UUID(made["patient_id"])
    cancel(stack, clinic, visit)
    assert 204 == answer_to(stack, look(stack, made)["offer"], "decline", who)
    again = booked(stack, clinic, doctor, kind, NINE)
    cancel(stack, clinic, again)
    time.advance(timedelta(minutes=10))
    offer_freed_slots()
    assert look(stack, made)["offer"] is None
    other = booked(stack, clinic, doctor, kind, NINE + HALF)
    cancel(stack, clinic, other)
    assert look(stack, made)["offer"] is not None


def test_of_two_answers_at_once_one_counts(stack: AppointmentStack, clinic: Clinic) -> None:
    """Accepting races with declining: either the patient has the appointment or the slot went on,
    never both and never neither."""
    doctor, kind = clinic.practitioner(), clinic.type()
    for number in range(6):
        at = NINE + number * HALF
        visit = booked(stack, clinic, doctor, kind, at)
        made = wish(stack, clinic, kind, (at, at + HALF))
        cancel(stack, clinic, visit)
        offer, who = look(stack, made)["offer"], UUID(made["patient_id"])
        barrier = threading.Barrier(2)

        def answer(
            how: str,
            offer: dict[str, Any] = offer,
            who: UUID = who,
            barrier: threading.Barrier = barrier,
        ) -> int:
            barrier.wait()
            return answer_to(stack, offer, how, who)

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(answer, ("accept", "decline")))
        assert found in ([200, 409], [410, 204])
        taken = at not in stack.slots(doctor, kind, at)
        assert (found[0] == 200) == taken


def test_a_clinic_chooses_how_long_it_holds(stack: AppointmentStack, clinic: Clinic) -> None:
    """An ADMIN sets the minutes; the offer expires then. Of two changes of one version one wins."""
    doctor, kind, admin = clinic.practitioner(), clinic.type(), person("ADMIN", clinic.id)
    path = f"/clinics/{clinic.id}/settings"
    shown = stack.made("GET", path, None, by=clinic.desk)
    assert {"version": 0, "offer_minutes": 30, "reminder_hours": [48, 2]} == shown
    body = {"offer_minutes": 90, "reminder_hours": [2, 24]}
    assert 403 == stack.send("PUT", path, body, by=clinic.desk, match=0).status_code
    changed = stack.send("PUT", path, body, by=admin, match=0).get_json()
    assert {"version": 1, "offer_minutes": 90, "reminder_hours": [24, 2]} == changed
    assert 412 == stack.send("PUT", path, body, by=admin, match=0).status_code
    assert 200 == stack.send("PUT", path, body, by=admin, match=1).status_code
    visit = booked(stack, clinic, doctor, kind, NINE)
    made = wish(stack, clinic, kind)
    cancel(stack, clinic, visit)
    expires = datetime.fromisoformat(look(stack, made)["offer"]["expires_at"])
    assert NOW + timedelta(minutes=90) == expires
