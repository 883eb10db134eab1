"""The waitlist: freed slots go to those who wait, one after the other, and none is lost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from functions.appointment.jobs import offer_freed_slots
from shared.contracts.gdpr import GdprDataDeletion
from shared.testing import FrozenClock
from shared.types import uuid7
from tests.appointment_stack import (
    NOW,
    AppointmentStack,
    Clinic,
    clinic_fixture,
    person,
    time_fixture,
    utc,
)
from tests.service_stack import stack_fixture

NINE = utc("2026-03-03T07:00")
HALF = timedelta(minutes=30)
DAY = (NINE, NINE + timedelta(hours=8))

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
time = time_fixture()


def windows(*spans: tuple[datetime, datetime]) -> list[dict[str, str]]:
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
    return stack.made("POST", "", stack.order(stack.patient(), *order), by=clinic.desk)


def cancel(stack: AppointmentStack, clinic: Clinic, visit: dict[str, Any]) -> None:
    path = f"/{visit['appointment_id']}/cancel"
    answer = stack.send("POST", path, {}, by=clinic.desk, match=visit["version"])
    assert 200 == answer.status_code, answer.text


def answer_to(stack: AppointmentStack, offer: dict[str, Any], how: str, who: UUID) -> int:
    path = f"/offers/{offer['offer_id']}/{how}"
    return stack.send("POST", path, by=person("PATIENT", identity=who)).status_code


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


def test_only_what_fits_is_offered(stack: AppointmentStack, clinic: Clinic) -> None:
    """A wish for another practitioner, another time, a longer visit or another clinic is left."""
    doctor, other, kind = clinic.practitioner(), clinic.practitioner(), clinic.type()
    elsewhere = Clinic(stack, "Europe/Bucharest")
    visit = booked(stack, clinic, doctor, kind, NINE)
    unfit = [
        wish(stack, clinic, kind, doctor=other),
        wish(stack, clinic, kind, (NINE + HALF, NINE + 9 * HALF)),
        wish(stack, clinic, kind, (NINE - HALF, NINE + HALF / 2)),
        wish(stack, clinic, clinic.type(60)),
        wish(stack, elsewhere, elsewhere.type()),
    ]
    fit = wish(stack, clinic, kind, (NINE - HALF, NINE), (NINE, NINE + HALF), doctor=doctor)
    cancel(stack, clinic, visit)
    assert look(stack, fit)["offer"] is not None
    assert [None] * 5 == [look(stack, made)["offer"] for made in unfit]


def test_who_is_busy_then_is_passed_over(stack: AppointmentStack, clinic: Clinic) -> None:
    """A patient who has another appointment at that time is not asked, the next one is."""
    doctor, other, kind = clinic.practitioner(), clinic.practitioner(), clinic.type()
    visit = booked(stack, clinic, doctor, kind, NINE)
    busy, free = wish(stack, clinic, kind), wish(stack, clinic, kind)
    order = stack.order(UUID(busy["patient_id"]), other, kind, NINE)
    stack.made("POST", "", order, by=clinic.desk)
    cancel(stack, clinic, visit)
    assert look(stack, busy)["offer"] is None
    assert look(stack, free)["offer"] is not None


def test_a_long_slot_serves_several(stack: AppointmentStack, clinic: Clinic) -> None:
    """A freed hour is offered to two who want half an hour each, at the same time."""
    doctor, kind = clinic.practitioner(), clinic.type()
    visit = booked(stack, clinic, doctor, clinic.type(60), NINE)
    two = [wish(stack, clinic, kind), wish(stack, clinic, kind)]
    cancel(stack, clinic, visit)
    starts = {look(stack, made)["offer"]["starts_at"] for made in two}
    assert {NINE, NINE + HALF} == {datetime.fromisoformat(at) for at in starts}


def test_a_new_wish_hears_of_what_is_free(stack: AppointmentStack, clinic: Clinic) -> None:
    """Whoever begins to wait is offered what was freed before and nobody has taken."""
    doctor, kind = clinic.practitioner(), clinic.type()
    cancel(stack, clinic, booked(stack, clinic, doctor, kind, NINE))
    made = wish(stack, clinic, kind)
    assert look(stack, made)["offer"] is not None


@pytest.mark.parametrize("how", ["reschedule", "missed"])
def test_other_ways_to_free_a_slot(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock, how: str
) -> None:
    """What an appointment leaves when it moves is offered; a slot that has begun is not."""
    doctor, kind = clinic.practitioner(), clinic.type()
    visit = booked(stack, clinic, doctor, kind, NINE)
    made = wish(stack, clinic, kind, (NINE, NINE + HALF))
    body: dict[str, Any] | None = {"starts_at": (NINE + 4 * HALF).isoformat()}
    if how == "missed":
        time.advance(NINE - NOW + timedelta(minutes=10))
        body = None
    path = f"/{visit['appointment_id']}/{how}"
    answer = stack.send("POST", path, body, by=clinic.desk, match=visit["version"])
    assert 200 == answer.status_code, answer.text
    assert (how == "reschedule") == (look(stack, made)["offer"] is not None)


def test_leave_offers_nothing(stack: AppointmentStack, clinic: Clinic) -> None:
    """What is freed because the practitioner is away is offered to nobody."""
    doctor, kind = clinic.practitioner(), clinic.type()
    visit = booked(stack, clinic, doctor, kind, NINE)
    made = wish(stack, clinic, kind)
    clinic.exception("LEAVE", "2026-03-03T08:00:00", "2026-03-03T18:00:00", doctor)
    cancel(stack, clinic, visit)
    assert look(stack, made)["offer"] is None


def test_a_withdrawn_wish_gives_its_offer_on(stack: AppointmentStack, clinic: Clinic) -> None:
    """Who waits no more frees what was held, for the next; and is offered nothing again."""
    doctor, kind = clinic.practitioner(), clinic.type()
    visit = booked(stack, clinic, doctor, kind, NINE)
    one, two = wish(stack, clinic, kind), wish(stack, clinic, kind)
    cancel(stack, clinic, visit)
    offer = look(stack, one)["offer"]
    path, me = f"/waitlist/{one['wish_id']}", person("PATIENT", identity=UUID(one["patient_id"]))
    assert 412 == stack.send("POST", f"{path}/withdraw", by=me, match=7).status_code
    assert 200 == stack.send("POST", f"{path}/withdraw", by=me, match=1).status_code
    assert "WITHDRAWN" == look(stack, one)["status"]
    assert look(stack, two)["offer"] is not None
    assert 410 == answer_to(stack, offer, "accept", UUID(one["patient_id"]))
    assert 409 == stack.send("POST", f"{path}/withdraw", by=me, match=2).status_code


def test_a_wish_ends_with_its_last_window(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """A wish is over when no slot can fit any more."""
    made = wish(stack, clinic, clinic.type(), (NOW, NOW + HALF), (NINE, NINE + HALF))
    time.advance(timedelta(hours=12))
    offer_freed_slots()
    assert "WAITING" == look(stack, made)["status"]
    time.advance(timedelta(hours=24))
    offer_freed_slots()
    assert "EXPIRED" == look(stack, made)["status"]


def test_strangers_see_no_wishes(stack: AppointmentStack, clinic: Clinic) -> None:
    """Another patient, and the staff of another clinic, find neither wish nor offer."""
    doctor, kind = clinic.practitioner(), clinic.type()
    visit = booked(stack, clinic, doctor, kind, NINE)
    made = wish(stack, clinic, kind)
    cancel(stack, clinic, visit)
    offer = look(stack, made)["offer"]
    for stranger in (person("PATIENT"), Clinic(stack, "Europe/Bucharest").desk):
        for path in (f"/waitlist/{made['wish_id']}", f"/offers/{offer['offer_id']}"):
            assert 404 == stack.send("GET", path, by=stranger).status_code
        path = f"/offers/{offer['offer_id']}/accept"
        assert 404 == stack.send("POST", path, by=stranger).status_code
    listed = stack.made("GET", f"/waitlist?clinic_id={clinic.id}", None, by=clinic.desk)
    assert [made["wish_id"]] == [item["wish_id"] for item in listed["items"]]
    reads = stack.rows(
        "select count(*) as n from audit_log where person_id = :p and what = 'waitlist wish'"
        " and action = 'read'",
        p=UUID(made["patient_id"]),
    )
    assert 0 < reads[0]["n"]


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


def test_an_erased_patient_waits_no_more(stack: AppointmentStack, clinic: Clinic) -> None:
    """An erasure deletes the wish and its offers, and what was held goes to the next."""
    doctor, kind = clinic.practitioner(), clinic.type()
    visit = booked(stack, clinic, doctor, kind, NINE)
    one, two = wish(stack, clinic, kind), wish(stack, clinic, kind)
    cancel(stack, clinic, visit)
    assert look(stack, one)["offer"] is not None
    patient_id = UUID(one["patient_id"])
    stack.receive(
        GdprDataDeletion(
            patient_id=patient_id,
            erasure_id=uuid7(),
            reason="USER_REQUEST_ARTICLE_17",
            requested_by=patient_id,
            requested_at=NOW,
        )
    )
    assert 404 == stack.send("GET", f"/waitlist/{one['wish_id']}", by=clinic.desk).status_code
    for table in ("waitlist_offers", "waitlist_wishes"):
        sql = f"select from {table} where patient_id = :p"
        assert [] == stack.rows(sql, p=patient_id)
    offer_freed_slots()
    assert look(stack, two)["offer"] is not None


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


@pytest.mark.parametrize(
    "spans",
    [
        [],
        [(NINE, NINE)],
        [(NINE, NINE - HALF)],
        [(NOW - HALF, NOW)],
        [(NINE, NINE + timedelta(days=800))],
        [DAY] * 21,
    ],
)
def test_senseless_windows_are_refused(
    stack: AppointmentStack, clinic: Clinic, spans: list[tuple[datetime, datetime]]
) -> None:
    """Windows are some, each ends after it begins, and they lie ahead within two years."""
    body = {
        "patient_id": str(stack.patient()),
        "clinic_id": str(clinic.id),
        "type_id": str(clinic.type()),
        "windows": windows(*spans),
    }
    assert 422 == stack.send("POST", "/waitlist", body, by=clinic.desk).status_code
