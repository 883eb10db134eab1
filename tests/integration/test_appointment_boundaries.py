"""Who learns and changes what: another clinic's staff, strangers, and links of the erased."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from functions.appointment.jobs import offer_freed_slots
from functions.appointment.service.links import reminder_link
from shared.config import config
from shared.contracts.gdpr import GdprDataDeletion
from shared.errors import NotFound
from shared.identity import Caller
from shared.testing import FrozenClock
from shared.types import uuid7
from tests.appointment_stack import (
    NINE,
    NOW,
    AppointmentStack,
    Clinic,
    Visit,
    clinic_fixture,
    person,
    time_fixture,
)
from tests.service_stack import stack_fixture

TUESDAY = NINE + timedelta(days=1)
HOUR = timedelta(hours=1)

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
at = time_fixture()


@pytest.fixture
def elsewhere(stack: AppointmentStack) -> Caller:
    """Somebody who may do everything at another clinic."""
    return person("ADMIN", Clinic(stack, "Europe/Bucharest").id)


def erase(stack: AppointmentStack, patient: UUID) -> None:
    """The patient is erased."""
    stack.receive(
        GdprDataDeletion(
            erasure_id=uuid7(),
            patient_id=patient,
            reason="USER_REQUEST_ARTICLE_17",
            requested_at=NOW,
        )
    )


def records(stack: AppointmentStack, patient: UUID) -> list[tuple[str, str]]:
    """What is on record about somebody: what was done with what."""
    rows = stack.rows("select action, what from audit_log where person_id = :p", p=patient)
    return sorted((row["action"], row["what"]) for row in rows)


def asked(clinic: Clinic, patient: UUID, kind: UUID) -> dict[str, Any]:
    """The body of a request or a wish for the whole of Tuesday."""
    span = {
        "starts_at": TUESDAY.isoformat(),
        "ends_at": (TUESDAY + 8 * HOUR).isoformat(),
    }
    return {
        "patient_id": str(patient),
        "clinic_id": str(clinic.id),
        "type_id": str(kind),
        "windows": [span],
    }


def test_another_clinics_staff_reach_nothing(
    stack: AppointmentStack, clinic: Clinic, elsewhere: Caller
) -> None:
    """Whatever role somebody holds at another clinic, they neither see nor change an appointment,
    a request, a wish, an offer, a series or a setting here; and so it is not on record that they
    have seen anything."""
    visit = Visit(clinic, TUESDAY)
    wished = stack.patient()
    request = stack.made("POST", "/requests", asked(clinic, wished, visit.kind), by=clinic.desk)
    wish = stack.made("POST", "/waitlist", asked(clinic, wished, visit.kind), by=clinic.desk)
    Visit(clinic, TUESDAY)
    series = stack.made(
        "POST",
        "/series",
        stack.order(
            visit.patient, visit.doctor, visit.kind, TUESDAY + HOUR, frequency="WEEKLY", count=2
        ),
        by=clinic.desk,
    )
    assert 200 == visit.do("cancel")[0]
    held = stack.made("GET", f"/waitlist/{wish['wish_id']}", None, by=clinic.desk)["offer"]
    before = [records(stack, visit.patient), records(stack, wished)]
    order = {"practitioner_id": str(visit.doctor), "starts_at": TUESDAY.isoformat()}
    settings = {"offer_minutes": 30, "reminder_hours": [2]}
    where = f"clinic_id={clinic.id}"
    person_of = f"{clinic.path}/practitioners/{visit.doctor}"
    calls: list[tuple[str, str, Any, set[int]]] = [
        ("GET", f"/{visit.id}", None, {404}),
        ("GET", f"/{visit.id}/invite.ics", None, {404}),
        ("POST", f"/{visit.id}/cancel", {}, {404}),
        ("POST", f"/{visit.id}/reschedule", {"starts_at": TUESDAY.isoformat()}, {404}),
        ("POST", f"/{visit.id}/check-in", None, {404}),
        ("POST", f"/{visit.id}/complete", None, {404}),
        ("POST", f"/{visit.id}/missed", None, {404}),
        ("POST", f"/series/{series['series_id']}/cancel", {}, {404}),
        ("GET", f"/requests/{request['request_id']}", None, {404}),
        ("POST", f"/requests/{request['request_id']}/accept", order, {404}),
        ("POST", f"/requests/{request['request_id']}/decline", {"reason": "no"}, {404}),
        ("POST", f"/requests/{request['request_id']}/withdraw", None, {404}),
        ("GET", f"/waitlist/{wish['wish_id']}", None, {404}),
        ("POST", f"/waitlist/{wish['wish_id']}/withdraw", None, {404}),
        ("GET", f"/offers/{held['offer_id']}", None, {404}),
        ("POST", f"/offers/{held['offer_id']}/accept", None, {404}),
        ("POST", f"/offers/{held['offer_id']}/decline", None, {404}),
        ("GET", f"?{where}", None, {403}),
        ("GET", f"/day?{where}&day=2026-03-03", None, {403}),
        ("GET", f"/requests?{where}", None, {403}),
        ("GET", f"/waitlist?{where}", None, {403}),
        ("GET", f"/requests?patient_id={wished}", None, {403}),
        ("GET", f"/waitlist?patient_id={wished}", None, {403}),
        ("POST", "/requests", asked(clinic, wished, visit.kind), {403}),
        ("POST", "/waitlist", asked(clinic, wished, visit.kind), {403}),
        ("GET", f"{clinic.path}/settings", None, {403}),
        ("PUT", f"{clinic.path}/settings", settings, {403}),
        ("PUT", person_of, {"display_name": "X", "hours": []}, {403}),
        ("GET", f"{clinic.path}/exceptions?from=2026-03-01&to=2026-03-09", None, {403}),
    ]
    for method, path, body, expected in calls:
        answer = stack.send(method, path, body, by=elsewhere, match=1)
        assert answer.status_code in expected, (method, path, answer.text)
    assert before == [records(stack, visit.patient), records(stack, wished)]


@pytest.mark.parametrize("days", [-30, -0.2, 900])
def test_a_refusal_tells_strangers_nothing(
    stack: AppointmentStack, clinic: Clinic, elsewhere: Caller, days: float
) -> None:
    """Who may not book for a patient is told so, not when the patient has time: neither for a time
    that is over, nor for one that is too far away."""
    visit = Visit(clinic)
    when = NOW + timedelta(days=days)
    order = stack.order(visit.patient, visit.doctor, visit.kind, when)
    series = {**order, "frequency": "WEEKLY", "count": 2}
    for path, body in (("", order), ("/series", series)):
        refused = stack.send("POST", path, body, by=elsewhere)
        assert (403, False) == (refused.status_code, "next" in refused.get_json())
        told = stack.send("POST", path, body, by=clinic.desk)
        assert 409 == told.status_code


def test_a_series_that_begins_out_of_reach(stack: AppointmentStack, clinic: Clinic) -> None:
    """The desk hears that the first day is over, or too far away, and what is free instead."""
    visit = Visit(clinic)
    for days, reason in ((-30, "PAST"), (900, "TOO_FAR")):
        when = NOW + timedelta(days=days)
        order = stack.order(visit.patient, visit.doctor, visit.kind, when)
        for path, more in (("", {}), ("/series", {"frequency": "WEEKLY", "count": 2})):
            refused = stack.send("POST", path, {**order, **more}, by=clinic.desk).get_json()
            assert (reason, 3) == (refused["reason"], len(refused["next"]))


def test_a_clinic_that_is_unheard_of_has_settings(
    stack: AppointmentStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Auth is asked about a clinic nobody has told about, before its settings are shown or changed;
    one that auth does not know has none."""
    from functions.appointment.service import schedule

    known = [uuid7(), uuid7()]

    class Auth:
        def get(self, target: str, path: str) -> dict[str, str]:
            if not any(str(one) in path for one in known):
                raise NotFound
            return {"name": "Nord", "time_zone": "Asia/Jakarta"}

    monkeypatch.setattr(schedule, "client", lambda service: Auth())
    admin, body = person("ADMIN"), {"offer_minutes": 60, "reminder_hours": [24]}
    path = "/clinics/{}/settings"
    assert 200 == stack.send("GET", path.format(known[0]), by=admin).status_code
    assert 200 == stack.send("PUT", path.format(known[1]), body, by=admin, match=0).status_code
    for method in ("GET", "PUT"):
        sent = body if method == "PUT" else None
        answer = stack.send(method, path.format(uuid7()), sent, by=admin, match=0)
        assert 404 == answer.status_code


def test_taking_leave_back_is_on_record(stack: AppointmentStack, clinic: Clinic) -> None:
    """Somebody's leave is theirs: who makes it and who takes it back are on record."""
    doctor = clinic.practitioner()
    leave = clinic.exception("LEAVE", "2026-03-03T00:00", "2026-03-04T00:00", doctor)
    before = records(stack, doctor).count(("write", "working hours"))
    path = f"{clinic.path}/exceptions/{leave}"
    assert 204 == stack.send("DELETE", path, by=clinic.desk).status_code
    assert before + 1 == records(stack, doctor).count(("write", "working hours"))
    assert 404 == stack.send("DELETE", path, by=clinic.desk).status_code
    assert before + 1 == records(stack, doctor).count(("write", "working hours"))


def test_a_wish_that_ends_is_on_record(
    stack: AppointmentStack, clinic: Clinic, at: FrozenClock
) -> None:
    """The service itself ends a wish whose time is over: that is a change of somebody's data."""
    patient = stack.patient()
    made = stack.made("POST", "/waitlist", asked(clinic, patient, clinic.type()), by=clinic.desk)
    before = records(stack, patient).count(("write", "waitlist wish"))
    at.advance(timedelta(days=2))
    offer_freed_slots()
    ended = stack.made("GET", f"/waitlist/{made['wish_id']}", None, by=clinic.desk)
    assert "EXPIRED" == ended["status"]
    assert before + 1 == records(stack, patient).count(("write", "waitlist wish"))


def test_what_is_held_of_the_erased_is_behind_no_link(
    stack: AppointmentStack, clinic: Clinic
) -> None:
    """Who is there before the time and is erased then has an appointment that a law holds: the link
    of its reminder shows it to nobody, and the desk learns not even what became of it."""
    visit = Visit(clinic)
    link = reminder_link(UUID(visit.id), datetime.fromisoformat(visit.made["starts_at"]))
    path = link.removeprefix(config().public_url)
    client = stack.app.test_client()
    assert 200 == client.get(path).status_code
    assert 200 == visit.do("check-in")[0]
    erase(stack, visit.patient)
    assert 404 == client.get(path).status_code
    assert 409 == client.post(f"{path}/cancel").status_code
    status, problem = visit.do("complete", match=2)
    assert (404, False) == (status, "appointment_status" in problem)


def test_a_practitioner_whose_patients_were_erased_has_a_calendar(
    stack: AppointmentStack, clinic: Clinic
) -> None:
    """A practitioner's calendar stays where it is when nothing in it may be shown."""
    visit = Visit(clinic)
    visit.do("check-in")
    visit.do("complete", match=2)
    doctor = person("DENTIST", clinic.id, visit.doctor)
    url = stack.made("POST", "/calendar", {}, by=doctor)["url"]
    path = url.removeprefix(config().public_url)
    assert visit.id in stack.app.test_client().get(path).text
    erase(stack, visit.patient)
    answer = stack.app.test_client().get(path)
    assert (200, False) == (answer.status_code, visit.id in answer.text)


def test_a_full_calendar_leaves_out_what_is_over(
    stack: AppointmentStack, clinic: Clinic, at: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are more appointments than a calendar carries, those to come are in it first, the
    next ones before the later ones, and of those that are over the latest."""
    from functions.appointment.service import feeds

    monkeypatch.setattr(feeds, "_MOST", 3)
    doctor, kind = clinic.practitioner(), clinic.type(60)
    times = [NINE, NINE + HOUR, NINE + 2 * HOUR, TUESDAY, TUESDAY + HOUR]
    made = [
        stack.made("POST", "", stack.order(stack.patient(), doctor, kind, when), by=clinic.desk)
        for when in times
    ]
    url = stack.made("POST", "/calendar", {}, by=person("DENTIST", clinic.id, doctor))["url"]

    def shown() -> list[int]:
        text = stack.app.test_client().get(url.removeprefix(config().public_url)).text
        return [n for n, one in enumerate(made) if one["appointment_id"] in text]

    assert [0, 1, 2] == shown()
    at.advance(TUESDAY - HOUR - NOW)
    assert [2, 3, 4] == shown()
