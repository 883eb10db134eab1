"""What holds for every route of appointments: zones, versions, logs, and what a list costs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from functions.appointment.jobs import remind
from shared.config import config
from shared.testing import FrozenClock
from shared.wire import Wire
from tests.appointment_stack import AppointmentStack, Clinic, Visit, person, time_fixture, utc
from tests.service_stack import stack_fixture

NOW = utc("2026-03-02T00:00")  # a Monday
HOUR = timedelta(hours=1)

stack = stack_fixture(AppointmentStack)
at = time_fixture(NOW)


def test_a_clinic_without_summer_time(stack: AppointmentStack) -> None:
    """In Jakarta nine o'clock is two in Greenwich in any month, and a series stays there."""
    clinic = Clinic(stack, "Asia/Jakarta")
    doctor, kind = clinic.practitioner(), clinic.type(60)
    for month in (3, 4, 7, 12):
        monday = utc(f"2026-{month:02}-07T00:00")
        monday -= timedelta(days=monday.weekday())
        monday += timedelta(weeks=monday <= NOW)
        assert monday + 2 * HOUR == stack.slots(doctor, kind, monday)[0]
    order = stack.order(stack.patient(), doctor, kind, NOW + 2 * HOUR)
    rule = {"frequency": "WEEKLY", "count": 30}
    made = stack.made("POST", "/series", {**order, **rule}, by=clinic.desk)
    assert {2} == {datetime.fromisoformat(one["starts_at"]).hour for one in made["booked"]}


def test_a_series_on_the_last_of_the_month(stack: AppointmentStack) -> None:
    """Monthly on the 31st: the months that have none are left out (RFC 5545), and the wall's time
    stays the same across the change of the clocks."""
    clinic = Clinic(stack, "Europe/Bucharest")
    doctor, kind = clinic.practitioner(), clinic.type(60)
    order = stack.order(stack.patient(), doctor, kind, utc("2026-03-31T06:00"))
    rule = {"frequency": "MONTHLY", "until": "2027-01-31", "conflicts": "SKIP"}
    made = stack.made("POST", "/series", {**order, **rule}, by=clinic.desk)
    booked = [one["starts_at"] for one in made["booked"]]
    weekends = [one["starts_at"] for one in made["conflicts"]]
    assert ["2026-05-31T06:00:00Z", "2026-10-31T07:00:00Z", "2027-01-31T07:00:00Z"] == weekends
    assert [
        "2026-03-31T06:00:00Z",
        "2026-07-31T06:00:00Z",
        "2026-08-31T06:00:00Z",
        "2026-12-31T07:00:00Z",
    ] == booked


def test_a_clinic_that_changes_its_zone(stack: AppointmentStack, at: FrozenClock) -> None:
    """The hours are on the new wall from then on. What was booked stays at its moment: it is shown,
    told, put into calendars and reminded of as the new wall shows it."""
    clinic = Clinic(stack, "Europe/Bucharest")
    visit = Visit(clinic, utc("2026-03-03T07:00"))
    stack.clinic(clinic.id, "Asia/Jakarta", 2)
    assert (
        utc("2026-03-04T02:00") == stack.slots(visit.doctor, visit.kind, utc("2026-03-04T00:00"))[0]
    )
    assert utc("2026-03-03T07:00") not in stack.slots(visit.doctor, visit.kind, NOW, 2)
    shown = stack.made("GET", f"/{visit.id}", None, by=visit.me)
    assert ("2026-03-03T07:00:00Z", "Asia/Jakarta") == (shown["starts_at"], shown["time_zone"])
    day = stack.made("GET", f"/day?clinic_id={clinic.id}&day=2026-03-03", None, by=clinic.desk)
    (desk,) = day["practitioners"]
    assert [visit.id] == [one["appointment_id"] for one in desk["appointments"]]
    assert "2026-03-03T02:00:00Z" == desk["work"][0]["starts_at"]
    invite = stack.send("GET", f"/{visit.id}/invite.ics", by=visit.me).text
    assert "DTSTART;TZID=Asia/Jakarta:20260303T140000" in invite
    at.advance(29 * HOUR)
    stack.types()
    remind()
    told = [env.payload for env in stack.sent if env.event_type == "APPOINTMENT_REMINDER_DUE"]
    assert ["Asia/Jakarta"] == [one["time_zone"] for one in told]


def test_every_change_names_its_version(stack: AppointmentStack) -> None:
    """A change of what somebody else may have changed says which version it is about: without
    If-Match it is 428, with one that is over 412."""
    clinic = Clinic(stack, "UTC")
    visit = Visit(clinic, NOW + 33 * HOUR)
    window = {
        "starts_at": (NOW + 33 * HOUR).isoformat(),
        "ends_at": (NOW + 40 * HOUR).isoformat(),
    }
    asked = {
        "patient_id": str(visit.patient),
        "clinic_id": str(clinic.id),
        "type_id": str(visit.kind),
        "windows": [window],
    }
    request = stack.made("POST", "/requests", asked, by=clinic.desk)["request_id"]
    wish = stack.made("POST", "/waitlist", asked, by=clinic.desk)["wish_id"]
    accept = {"practitioner_id": str(visit.doctor), "starts_at": window["ends_at"]}
    admin = person("ADMIN", clinic.id)
    settings = {"offer_minutes": 30, "reminder_hours": [2]}
    calls: list[tuple[str, str, Any]] = [
        ("POST", f"/{visit.id}/reschedule", {"starts_at": window["starts_at"]}),
        ("POST", f"/{visit.id}/cancel", {}),
        *(("POST", f"/{visit.id}/{step}", None) for step in ("check-in", "complete", "missed")),
        ("POST", f"/requests/{request}/accept", accept),
        ("POST", f"/requests/{request}/decline", {"reason": "no"}),
        ("POST", f"/requests/{request}/withdraw", None),
        ("POST", f"/waitlist/{wish}/withdraw", None),
        ("PUT", f"{clinic.path}/settings", settings),
        ("PUT", f"{clinic.path}/practitioners/{visit.doctor}", {"display_name": "X", "hours": []}),
    ]
    for method, path, body in calls:
        assert 428 == stack.send(method, path, body, by=admin).status_code, path
        assert 412 == stack.send(method, path, body, by=admin, match=99).status_code, path


def test_no_log_has_what_was_written(
    stack: AppointmentStack, capfd: pytest.CaptureFixture[str]
) -> None:
    """Notes and reasons are in no log line, no refusal and no table, whatever becomes of them; only
    the message that tells a patient why a request was declined says why."""
    clinic, secret = Clinic(stack, "UTC"), "pregnant since May"
    visit = Visit(clinic, NOW + 33 * HOUR, note=secret)
    order = stack.order(visit.patient, visit.doctor, visit.kind, NOW + 33 * HOUR, note=secret)
    refused = [
        stack.send("POST", "", order, by=clinic.desk),
        stack.send("POST", "", {**order, "note": secret * 200}, by=clinic.desk),
        stack.send("POST", "", {**order, "notes": secret}, by=clinic.desk),
        stack.send("POST", f"/{visit.id}/cancel", {"reason": secret}, by=clinic.desk, match=7),
        stack.send("POST", f"/{visit.id}/cancel", {"why": secret}, by=clinic.desk, match=1),
    ]
    assert [409, 422, 422, 412, 422] == [answer.status_code for answer in refused]
    assert [] == [answer.text for answer in refused if secret in answer.text]
    window = {"starts_at": order["starts_at"], "ends_at": (NOW + 40 * HOUR).isoformat()}
    asked = {
        "patient_id": str(visit.patient),
        "clinic_id": str(clinic.id),
        "type_id": str(visit.kind),
        "windows": [window],
        "note": secret,
    }
    request = stack.made("POST", "/requests", asked, by=clinic.desk)["request_id"]
    decline = {"reason": secret}
    path = f"/requests/{request}/decline"
    assert 200 == stack.send("POST", path, decline, by=clinic.desk, match=1).status_code
    assert 200 == visit.do("cancel", reason=secret)[0]
    told = {env.event_type for env in stack.sent if secret in env.to_json()}
    assert {"APPOINTMENT_REQUEST_DECLINED"} == told
    written = capfd.readouterr()
    assert secret not in written.out + written.err
    for table in ("appointments", "appointment_requests", "audit_log"):
        rows = stack.rows(f"select t::text as t from {table} t")
        assert not any(secret in row["t"] or secret.encode().hex() in row["t"] for row in rows)


def test_a_list_is_one_statement(stack: AppointmentStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows a page has, it is read, and put on record, in one statement."""
    clinic = Clinic(stack, "UTC")
    doctor, kind = clinic.practitioner(), clinic.type(30)
    for number in range(4):
        when = NOW + 33 * HOUR + number * HOUR / 2
        stack.made("POST", "", stack.order(stack.patient(), doctor, kind, when), by=clinic.desk)
        asked = {
            "patient_id": str(stack.patient()),
            "clinic_id": str(clinic.id),
            "type_id": str(kind),
            "windows": [{"starts_at": when.isoformat(), "ends_at": (when + HOUR).isoformat()}],
        }
        for path in ("/requests", "/waitlist"):
            stack.made("POST", path, asked, by=clinic.desk)
    url = stack.made("POST", "/calendar", {}, by=person("DENTIST", clinic.id, doctor))["url"]
    sent: list[int] = []
    exchange = Wire.exchange

    def counted(self: Wire, *asked: Any, **more: Any) -> Any:
        sent.append(len(asked))
        return exchange(self, *asked, **more)

    monkeypatch.setattr(Wire, "exchange", counted)
    for path in ("", "/requests", "/waitlist"):
        sent.clear()
        page = stack.made("GET", f"{path}?clinic_id={clinic.id}&limit=3", None, by=clinic.desk)
        assert (3, [1]) == (len(page["items"]), sent)
    sent.clear()
    followed = stack.app.test_client().get(url.removeprefix(config().public_url))
    assert (4, [1]) == (followed.text.count("BEGIN:VEVENT"), sent)


def test_looking_by_head_changes_nothing(stack: AppointmentStack) -> None:
    """A mail scanner that asks for the head of a link does no harm, and is told nothing."""
    from functions.appointment.service.links import reminder_link

    clinic = Clinic(stack, "UTC")
    visit = Visit(clinic, NOW + 33 * HOUR)
    link = reminder_link(UUID(visit.id), datetime.fromisoformat(visit.made["starts_at"]))
    path = link.removeprefix(config().public_url)
    client = stack.app.test_client()
    answer = client.head(path)
    assert (200, b"") == (answer.status_code, answer.data)
    for choice in ("acknowledge", "cancel"):
        assert 405 == client.head(f"{path}/{choice}").status_code
    assert [] == stack.types()
    assert 1 == stack.made("GET", f"/{visit.id}", None, by=visit.me)["version"]


def test_a_new_time_is_a_new_question(stack: AppointmentStack, at: FrozenClock) -> None:
    """Who said yes to a time has not said yes to another one; and is not reminded with a lead that
    was over when the new time was chosen."""
    from functions.appointment.service.reminders import acknowledge

    clinic = Clinic(stack, "UTC")
    visit = Visit(clinic, utc("2026-03-13T09:00"))
    acknowledge(UUID(visit.id), utc("2026-03-13T09:00"))
    at.advance(timedelta(days=3))
    moved = visit.do("reschedule", match=2, starts_at="2026-03-06T09:00:00Z")[1]
    assert (3, None) == (moved["version"], moved["acknowledged_at"])
    shown = stack.made("GET", f"/{visit.id}", None, by=visit.me)
    assert shown["acknowledged_at"] is None
    stack.types()
    remind()
    assert [] == stack.types(appointment_id=visit.id)
    at.advance(timedelta(days=1, hours=7))
    remind()
    assert ["APPOINTMENT_REMINDER_DUE"] == stack.types(appointment_id=visit.id)


def test_a_chair_stands_in_its_clinic(stack: AppointmentStack) -> None:
    """Nobody is put, or moved, into another clinic's chair: neither found nor asked for."""
    clinic, other = Clinic(stack, "UTC"), Clinic(stack, "UTC")
    kind, when = clinic.type(needs_chair=True), NOW + 33 * HOUR
    foreign, taken = str(other.chair()), str(clinic.chair())
    order = stack.order(stack.patient(), clinic.practitioner(), kind, when)
    made = stack.made("POST", "", order, by=clinic.desk)
    assert taken == made["chair_id"]
    order = stack.order(stack.patient(), clinic.practitioner(), kind, when)
    full = stack.send("POST", "", order, by=clinic.desk)
    assert (409, "CHAIR") == (full.status_code, full.get_json()["reason"])
    path = f"/{made['appointment_id']}/reschedule"
    calls: list[tuple[str, dict[str, Any]]] = [
        ("", {**order, "chair_id": foreign}),
        (path, {"starts_at": (when + HOUR).isoformat(), "chair_id": foreign}),
    ]
    for where, body in calls:
        refused = stack.send("POST", where, body, by=clinic.desk, match=1)
        assert "urn:dentalhelp:problem:not-bookable" == refused.get_json()["type"]
