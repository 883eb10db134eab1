"""Reminders: each appointment time and lead once, and only to those who are to come."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.appointment.jobs import remind
from shared.testing import FrozenClock
from tests.appointment_stack import (
    NOW,
    AppointmentStack,
    Clinic,
    clinic_fixture,
    person,
    time_fixture,
)
from tests.integration.reminder_stack import FRIDAY, HOUR, booked, follow, reminded
from tests.service_stack import stack_fixture

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
time = time_fixture()


def leads(stack: AppointmentStack, visit: dict[str, Any]) -> list[int]:
    return [env.payload["hours_before"] for env in reminded(stack, visit)]


def test_each_lead_once(stack: AppointmentStack, clinic: Clinic, time: FrozenClock) -> None:
    """The patient is reminded two days and two hours before, each once, whoever runs the job."""
    visit = booked(stack, clinic)
    found = []
    while time.now() < FRIDAY + 2 * HOUR:
        found += [(lead, (FRIDAY - time.now()) // HOUR) for lead in leads(stack, visit)]
        time.advance(HOUR)
    assert [(48, 48), (2, 2)] == found


def test_a_reminder_says_what_is_needed(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """It carries the time and its zone, and a link to the public address."""
    visit = booked(stack, clinic)
    time.advance(FRIDAY - NOW - 48 * HOUR)
    (env,) = reminded(stack, visit)
    assert ("Europe/Bucharest", visit["patient_id"], 1) == (
        env.payload["time_zone"],
        env.payload["patient_id"],
        env.metadata.aggregate_version,
    )
    assert env.payload["link"].startswith("http://127.0.0.1:8080/api/appointments/links/reminders/")


def test_two_jobs_at_once_send_one(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """Jobs that run at the same time remind once."""
    visits = [booked(stack, clinic) for _ in range(5)]
    time.advance(FRIDAY - NOW - 48 * HOUR)
    stack.types()
    with ThreadPoolExecutor(4) as pool:
        sent = sum(pool.map(lambda _: remind(), range(4)))
    told = [
        env.payload["appointment_id"]
        for env in stack.sent
        if env.event_type == "APPOINTMENT_REMINDER_DUE"
    ]
    assert sent == len(told)
    assert len(told) == len(set(told))
    assert {visit["appointment_id"] for visit in visits} <= set(told)


@pytest.mark.parametrize(
    ("late", "expected"),
    [(2, [48]), (22, [48]), (24, []), (40, []), (46.5, [2]), (47.9, [2]), (48, [])],
)
def test_after_a_pause_only_the_sensible_one(
    stack: AppointmentStack,
    clinic: Clinic,
    time: FrozenClock,
    late: float,
    expected: list[int],
) -> None:
    """After a pause the last reminder that is due is sent, unless the next comes soon enough."""
    visit = booked(stack, clinic)
    time.advance(FRIDAY - NOW - 48 * HOUR + late * HOUR)
    assert expected == leads(stack, visit)
    assert [] == leads(stack, visit)


def test_who_has_just_booked_is_not_reminded(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """An appointment that was booked a day ahead has no reminder for two days ahead."""
    visit = booked(stack, clinic, NOW + 27 * HOUR)
    assert [] == leads(stack, visit)
    time.advance(25 * HOUR)
    assert [2] == leads(stack, visit)


def test_a_moved_appointment_is_reminded_of_again(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """The new time has reminders of its own; the old one has no more, and its link says so."""
    visit = booked(stack, clinic)
    time.advance(FRIDAY - NOW - 48 * HOUR)
    (env,) = reminded(stack, visit)
    path, later = f"/{visit['appointment_id']}/reschedule", FRIDAY + 72 * HOUR
    moved = {"starts_at": later.isoformat()}
    answer = stack.send("POST", path, moved, by=clinic.desk, match=visit["version"])
    assert 200 == answer.status_code, answer.text
    assert 410 == follow(stack, env.payload["link"]).status_code
    time.advance(46 * HOUR)
    assert [] == leads(stack, visit)
    time.advance(later - time.now() - 48 * HOUR)
    assert [48] == leads(stack, visit)


@pytest.mark.parametrize("how", ["cancel", "erase hours"])
def test_who_need_not_come_is_not_reminded(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock, how: str
) -> None:
    """Cancelled appointments have no reminders, nor has a clinic that wants none."""
    visit = booked(stack, clinic)
    if how == "cancel":
        path = f"/{visit['appointment_id']}/cancel"
        stack.send("POST", path, {}, by=clinic.desk, match=visit["version"])
    else:
        stack.send(
            "PUT",
            f"/clinics/{clinic.id}/settings",
            {"offer_minutes": 30, "reminder_hours": []},
            by=person("ADMIN", clinic.id),
            match=0,
        )
    time.advance(FRIDAY - NOW - HOUR)
    assert [] == leads(stack, visit)


def test_a_clinic_chooses_its_leads(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """A clinic that reminds a day before does so."""
    visit = booked(stack, clinic)
    stack.send(
        "PUT",
        f"/clinics/{clinic.id}/settings",
        {"offer_minutes": 30, "reminder_hours": [24]},
        by=person("ADMIN", clinic.id),
        match=0,
    )
    time.advance(FRIDAY - NOW - 30 * HOUR)
    assert [] == leads(stack, visit)
    time.advance(10 * HOUR)
    assert [24] == leads(stack, visit)
