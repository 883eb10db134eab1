"""Answering an offer of the waitlist from an e-mail."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from functions.appointment.jobs import offer_freed_slots
from shared.config import config
from shared.testing import FrozenClock
from tests.appointment_stack import AppointmentStack, Clinic, clinic_fixture, time_fixture, utc
from tests.service_stack import stack_fixture

NINE = utc("2026-03-03T07:00")
HALF = timedelta(minutes=30)

stack = stack_fixture(AppointmentStack)
time = time_fixture()
clinic = clinic_fixture()


@pytest.fixture
def link(stack: AppointmentStack, clinic: Clinic) -> str:
    """The path in the message to somebody who is offered Tuesday at nine."""
    doctor, kind, patient = clinic.practitioner(), clinic.type(), stack.patient()
    window = {"starts_at": NINE.isoformat(), "ends_at": (NINE + HALF).isoformat()}
    visit = stack.made("POST", "", stack.order(stack.patient(), doctor, kind, NINE), by=clinic.desk)
    wish = {
        "patient_id": str(patient),
        "clinic_id": str(clinic.id),
        "type_id": str(kind),
        "windows": [window],
    }
    stack.made("POST", "/waitlist", wish, by=clinic.desk)
    stack.types()
    stack.send("POST", f"/{visit['appointment_id']}/cancel", {}, by=clinic.desk, match=1)
    (told,) = [env for env in stack.sent if env.event_type == "WAITLIST_SLOT_OFFERED"]
    stack.types()
    found: str = told.payload["link"]
    return found.removeprefix(config().public_url)


def follow(stack: AppointmentStack, link: str, how: str = "", language: str = "en") -> TestResponse:
    """Open a link as a browser does, or press a button of its page."""
    return stack.app.test_client().open(
        link + how, method="POST" if how else "GET", headers={"Accept-Language": language}
    )


def of_patient(stack: AppointmentStack, clinic: Clinic) -> list[UUID]:
    """Whose appointments stand at the clinic."""
    sql = "select patient_id from slots_taken where clinic_id = :c and kind = 'APPOINTMENT'"
    return [row["patient_id"] for row in stack.rows(sql, c=clinic.id)]


def test_the_page_says_what_is_offered(stack: AppointmentStack, link: str) -> None:
    """It says when, where, until when it is held, and offers both answers; looking does nothing."""
    answer = follow(stack, link, language="ro")
    assert 200 == answer.status_code
    for words in ("marți, 3 martie 2026, 09:00", "Centru", "luni, 2 martie 2026, 07:30"):
        assert words in answer.text
    for how in ("accept", "decline"):
        assert f'<form method="post" action="{link}/{how}">' in answer.text
    assert [] == stack.types()


def test_taking_it(stack: AppointmentStack, clinic: Clinic, link: str) -> None:
    """The button books it; pressed again, the page says the same, and declining is over."""
    for _ in "ab":
        answer = follow(stack, link, "/accept")
        assert 200 == answer.status_code
        assert "The appointment is yours" in answer.text
    assert ["APPOINTMENT_BOOKED", "APPOINTMENT_CONFIRMED"] == stack.types()
    assert 1 == len(of_patient(stack, clinic))
    assert 409 == follow(stack, link, "/decline").status_code
    assert "The appointment is yours" in follow(stack, link).text


def test_leaving_it(stack: AppointmentStack, clinic: Clinic, link: str) -> None:
    """Declining frees the slot and keeps the patient waiting; taking it is over then."""
    for _ in "ab":
        answer = follow(stack, link, "/decline")
        assert 200 == answer.status_code
        assert "You stay on the waiting list" in answer.text
    assert 410 == follow(stack, link, "/accept").status_code
    assert [] == of_patient(stack, clinic)


def test_coming_too_late(
    stack: AppointmentStack, clinic: Clinic, link: str, time: FrozenClock
) -> None:
    """An expired link is a page that says so, before and after the schedule has noticed."""
    time.advance(HALF)
    for _ in "ab":
        for how in ("", "/accept", "/decline"):
            answer = follow(stack, link, how, language="id")
            assert 410 == answer.status_code
            assert "Tautan ini sudah kedaluwarsa" in answer.text
        offer_freed_slots()
    assert [] == of_patient(stack, clinic)


def test_a_link_answers_one_offer(stack: AppointmentStack, link: str) -> None:
    """A changed link, and other answers than the two, are none."""
    changed = link[:-1] + ("A" if link[-1] != "A" else "B")
    assert 404 == follow(stack, changed, "/accept").status_code
    assert 404 == follow(stack, link, "/cancel").status_code
    assert 405 == stack.app.test_client().get(f"{link}/accept").status_code


def test_what_became_of_it(stack: AppointmentStack, clinic: Clinic, link: str) -> None:
    """Once the appointment is moved or cancelled, the page says so, however often it is pressed."""
    assert 200 == follow(stack, link, "/accept").status_code
    listed = stack.made("GET", f"?clinic_id={clinic.id}&status=CONFIRMED", None, by=clinic.desk)
    (made,) = listed["items"]
    moved = {"starts_at": (NINE + 2 * HALF).isoformat()}
    path = f"/{made['appointment_id']}"
    assert (
        200 == stack.send("POST", f"{path}/reschedule", moved, by=clinic.desk, match=1).status_code
    )
    for how in ("", "/accept"):
        answer = follow(stack, link, how)
        assert "The appointment is yours" in answer.text
        assert "Tuesday, 3 March 2026, 10:00" in answer.text
    assert 200 == stack.send("POST", f"{path}/cancel", {}, by=clinic.desk, match=2).status_code
    stack.types()
    for how in ("", "/accept"):
        assert "Your appointment is cancelled" in follow(stack, link, how).text
    assert [] == stack.types()
    assert [] == of_patient(stack, clinic)
