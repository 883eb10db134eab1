"""A wish of the waitlist: what it may be, who sees it, and how it ends."""

from __future__ import annotations

from datetime import datetime, timedelta
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
)
from tests.integration.waitlist_stack import (
    DAY,
    HALF,
    NINE,
    answer_to,
    booked,
    cancel,
    look,
    windows,
    wish,
)
from tests.service_stack import stack_fixture

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
time = time_fixture()


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
