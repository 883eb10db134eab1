"""Lists of appointments, and what an export and an erasure make of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from functions.appointment.main import service
from shared.contracts.gdpr import GdprDataDeletion
from shared.identity import Caller
from shared.testing import FrozenClock
from shared.types import uuid7
from tests.appointment_stack import (
    NOW,
    WEEK,
    AppointmentStack,
    Clinic,
    Visit,
    clinic_fixture,
    person,
    time_fixture,
)
from tests.service_stack import stack_fixture

HOUR = timedelta(hours=1)

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
at = time_fixture()


def test_lists(stack: AppointmentStack, at: FrozenClock) -> None:
    """By practitioner, patient, status and day, in order, page by page; staff see their clinic,
    patients themselves, and nobody anything else."""
    clinic = Clinic(stack, "Europe/Bucharest")
    doctor, kind, patient = clinic.practitioner(), clinic.type(60), stack.patient()
    hours = (7, 8, 9, 12)
    made = [
        stack.made(
            "POST",
            "",
            stack.order(
                patient if number % 2 else stack.patient(), doctor, kind, NOW.replace(hour=hour)
            ),
            by=clinic.desk,
        )["appointment_id"]
        for number, hour in enumerate(hours)
    ]
    stack.send("POST", f"/{made[0]}/cancel", {}, by=clinic.desk, match=1)

    def ids(query: str, by: Caller) -> list[str]:
        found: list[str] = []
        cursor = ""
        while True:
            page = stack.send("GET", f"?limit=2&{query}{cursor}", by=by)
            assert 200 == page.status_code, page.text
            found += [item["appointment_id"] for item in page.get_json()["items"]]
            if page.get_json()["next_cursor"] is None:
                return found
            cursor = f"&cursor={page.get_json()['next_cursor']}"

    here = f"clinic_id={clinic.id}"
    assert made == ids(here, clinic.desk)
    assert made == ids(f"{here}&practitioner_id={doctor}&day=2026-03-02", clinic.desk)
    assert [] == ids(f"{here}&day=2026-03-03", clinic.desk)
    assert made[:1] == ids(f"{here}&status=CANCELLED", clinic.desk)
    assert made[1::2] == ids(f"{here}&patient_id={patient}", clinic.desk)
    assert made[1:3] == ids(
        f"{here}&from=2026-03-02T08:00:00Z&to=2026-03-02T12:00:00Z", clinic.desk
    )
    assert made[1::2] == ids(f"patient_id={patient}", person("PATIENT", identity=patient))
    assert made[1::2] == ids(f"patient_id={patient}", person("ADMIN"))
    for query, by in (
        (here, person("RECEPTIONIST", uuid7())),
        (f"patient_id={patient}", person("PATIENT")),
        (f"patient_id={patient}", clinic.desk),
        ("", clinic.desk),
        (f"{here}&patient_id={uuid7()}", person("PATIENT", identity=patient)),
    ):
        assert 403 == stack.send("GET", f"?{query}", by=by).status_code


def test_an_erasure_keeps_what_took_place(
    stack: AppointmentStack, clinic: Clinic, at: FrozenClock
) -> None:
    """What is still to come is gone and its time free; what took place is held for the law, shown
    only to the group's ADMIN who states a purpose, and changed by nobody."""
    past = Visit(clinic, note="first visit")
    past.do("check-in")
    past.do("complete", match=2)
    # The law's time runs by the database's clock.
    at.advance(datetime.now(UTC) - at.now())
    day = at.now() + timedelta(days=7 + (-at.now().weekday()) % 7)
    monday = day.replace(hour=8, minute=0, second=0, microsecond=0)
    coming = Visit(clinic, monday, past.patient, note="second visit")
    stack.receive(
        GdprDataDeletion(
            erasure_id=uuid7(),
            patient_id=past.patient,
            reason="USER_REQUEST_ARTICLE_17",
            requested_at=NOW,
        )
    )
    rows = stack.rows(
        "select appointment_id, status from appointments where patient_id = :p", p=past.patient
    )
    assert [(UUID(past.id), "COMPLETED")] == [(r["appointment_id"], r["status"]) for r in rows]
    assert monday in stack.slots(coming.doctor, coming.kind, monday)
    admin = person("ADMIN")
    assert 404 == stack.send("GET", f"/{past.id}", by=clinic.desk).status_code
    assert 404 == stack.send("GET", f"/{past.id}", by=admin).status_code
    shown = stack.send("GET", f"/{past.id}", by=admin, purpose="HLEGAL")
    assert (200, "first visit") == (shown.status_code, shown.get_json()["note"])
    listed = stack.send("GET", f"?clinic_id={clinic.id}&patient_id={past.patient}", by=clinic.desk)
    assert [] == listed.get_json()["items"]
    order = stack.order(past.patient, past.doctor, past.kind, monday)
    refused = stack.send("POST", "", order, by=clinic.desk)
    assert "urn:dentalhelp:problem:person-erased" == refused.get_json()["type"]
    assert {} == {
        name: count
        for name, count in service.privacy.remains(stack.db, past.patient).items()
        if name != "appointments"
    }


def test_an_export_shows_everything(stack: AppointmentStack, clinic: Clinic) -> None:
    """A patient's export has the appointments with what was written; a practitioner's the hours."""
    from shared.runtime import vault

    visit = Visit(clinic, note="afraid of needles")
    visit.do("cancel", reason="too far")
    shown = service.privacy.export(stack.db, vault("appointment"), visit.patient)
    one = shown["appointments"][0]
    assert ("afraid of needles", "too far", "CANCELLED") == (
        one["note"],
        one["cancellation_reason"],
        one["status"],
    )
    clinic.exception("LEAVE", "2026-03-03T00:00", "2026-03-04T00:00", visit.doctor)
    theirs = service.privacy.export(stack.db, vault("appointment"), visit.doctor)
    assert len(WEEK) == len(theirs["practitioners"][0]["hours"])
    assert "LEAVE" == theirs["schedule_exceptions"][0]["kind"]


def test_late_messages_about_the_erased_change_nothing(stack: AppointmentStack) -> None:
    """A registration that arrives after the erasure makes nobody known."""
    from shared.contracts.patient import PatientRegistered

    patient = stack.patient()
    stack.receive(
        GdprDataDeletion(
            erasure_id=uuid7(),
            patient_id=patient,
            reason="USER_REQUEST_ARTICLE_17",
            requested_at=NOW,
        )
    )
    assert "erased" == stack.receive(PatientRegistered(patient_id=patient), version=1)
    assert [] == stack.rows("select from known_people where person_id = :p", p=patient)
