"""Which slots the waitlist offers, and to whom: what fits a wish, however it got free."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.testing import FrozenClock
from tests.appointment_stack import (
    NOW,
    AppointmentStack,
    Clinic,
    clinic_fixture,
    time_fixture,
)
from tests.integration.waitlist_stack import (
    HALF,
    NINE,
    booked,
    cancel,
    look,
    wish,
)
from tests.service_stack import stack_fixture

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
time = time_fixture()


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
