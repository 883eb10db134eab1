"""A clinic's schedule: hours, exceptions, chairs and types, and the slots that follow from them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.errors import NotFound
from shared.testing import FrozenClock
from shared.types import uuid7
from tests.appointment_stack import (
    NOW,
    WEEK,
    AppointmentStack,
    Clinic,
    clinic_fixture,
    person,
    shift,
    time_fixture,
    utc,
)
from tests.service_stack import stack_fixture

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
at = time_fixture()


def test_slots_follow_the_weekly_hours(stack: AppointmentStack, clinic: Clinic) -> None:
    """Slots begin every quarter of an hour, fit before lunch and before the evening, and none is
    on a day off."""
    doctor, kind = clinic.practitioner(), clinic.type(60)
    monday = stack.slots(doctor, kind, NOW)
    assert (utc("2026-03-02T07:00"), utc("2026-03-02T14:00")) == (monday[0], monday[-1])
    assert 13 + 9 == len(monday)
    assert not {utc("2026-03-02T10:15"), utc("2026-03-02T11:45")} & set(monday)
    assert [] == stack.slots(doctor, kind, utc("2026-03-07T00:00"), days=2)


@pytest.mark.parametrize(
    ("sunday", "starts"),
    [
        # 01:00 to 06:00 on the wall, by the hour: five hours but for the one that is skipped...
        ("2026-03-29", ["28 23:00", "29 00:00", "29 01:00", "29 02:00"]),
        # ... and but for the one that comes twice.
        ("2026-10-25", ["24 22:00", "24 23:00", "25 00:00", "25 01:00", "25 02:00", "25 03:00"]),
    ],
)
def test_slots_when_the_clocks_change(
    stack: AppointmentStack, clinic: Clinic, at: FrozenClock, sunday: str, starts: list[str]
) -> None:
    """Both halves of the night of a change can be booked, each hour once."""
    doctor = clinic.practitioner([shift("SUNDAY", "01:00", "06:00")])
    kind = clinic.type(60)
    since = datetime.fromisoformat(f"{sunday}T12:00+00:00") - timedelta(days=1)
    at.advance(since - at.now())
    free = [slot for slot in stack.slots(doctor, kind, since) if slot.minute == 0]
    assert starts == [f"{slot:%d %H:%M}" for slot in free]
    for slot in free:
        order = stack.order(stack.patient(), doctor, kind, slot)
        assert 201 == stack.send("POST", "", order, by=clinic.desk).status_code
    assert [] == stack.slots(doctor, kind, since)


def test_exceptions_change_what_is_free(stack: AppointmentStack, clinic: Clinic) -> None:
    """Leave takes slots away until it is taken back; extra hours add some; neither touches what is
    booked, and a holiday is everybody's."""
    doctor, other, kind = clinic.practitioner(), clinic.practitioner(), clinic.type(60)
    tuesday = utc("2026-03-03T00:00")
    order = stack.order(stack.patient(), doctor, kind, utc("2026-03-03T08:00"))
    kept = stack.made("POST", "", order, by=clinic.desk)
    leave = clinic.exception("LEAVE", "2026-03-03T00:00", "2026-03-04T00:00", doctor)
    assert [] == stack.slots(doctor, kind, tuesday)
    assert stack.slots(other, kind, tuesday)
    shown = stack.send("GET", f"/{kept['appointment_id']}", by=clinic.desk).get_json()
    assert "CONFIRMED" == shown["status"]
    gone = stack.send("DELETE", f"{clinic.path}/exceptions/{leave}", by=clinic.desk)
    assert 204 == gone.status_code
    assert stack.slots(doctor, kind, tuesday)
    clinic.exception("EXTRA_HOURS", "2026-03-07T09:00", "2026-03-07T10:00", doctor)
    assert [utc("2026-03-07T07:00")] == stack.slots(doctor, kind, utc("2026-03-07T00:00"))
    clinic.exception("HOLIDAY", "2026-03-05T00:00", "2026-03-06T00:00")
    for one in (doctor, other):
        assert [] == stack.slots(one, kind, utc("2026-03-05T00:00"))
    query = f"from=2026-03-01&to=2026-03-31&practitioner_id={doctor}"
    found = stack.send("GET", f"{clinic.path}/exceptions?{query}", by=clinic.desk).get_json()
    assert ["HOLIDAY", "EXTRA_HOURS"] == [item["kind"] for item in found["items"]]
    seen = stack.rows(
        "select what from audit_log where person_id = :p and action = 'read'", p=doctor
    )
    assert "working hours" in {row["what"] for row in seen}


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "LEAVE", "starts": "2026-03-03T00:00", "ends": "2026-03-04T00:00"},
        {"kind": "HOLIDAY", "starts": "2026-03-04T00:00", "ends": "2026-03-04T00:00"},
        {"kind": "HOLIDAY", "starts": "2026-03-04T00:00Z", "ends": "2026-03-05T00:00Z"},
        {"kind": "HOLIDAY", "starts": "2026-03-04T00:00", "ends": "2029-03-05T00:00"},
    ],
)
def test_exceptions_that_make_no_sense(
    stack: AppointmentStack, clinic: Clinic, body: dict[str, Any]
) -> None:
    """Leave is somebody's, time does not run backwards, and the clinic's own time is meant."""
    answer = stack.send("POST", f"{clinic.path}/exceptions", body, by=clinic.desk)
    assert 422 == answer.status_code


@pytest.mark.parametrize(
    "hours",
    [
        [shift("MONDAY", "17:00", "09:00")],
        [shift("MONDAY", "09:00", "12:00"), shift("MONDAY", "11:00", "14:00")],
        [shift("MONDAY", "09:00", "12:00", ("11:00", "13:00"))],
        [shift("MONDAY", "9:00", "12:00")],
        [shift("MONDAY", "24:00", "12:00")],
        [shift("MOONDAY", "09:00", "12:00")],
    ],
)
def test_hours_that_make_no_sense(
    stack: AppointmentStack, clinic: Clinic, hours: list[dict[str, Any]]
) -> None:
    """Parts of a day that overlap, breaks outside, and times that no clock shows are refused."""
    body = {"practitioner_id": str(uuid7()), "display_name": "Dr. Popa", "hours": hours}
    answer = stack.send("POST", f"{clinic.path}/practitioners", body, by=clinic.desk)
    assert 422 == answer.status_code


def test_a_practitioner_is_shown_as_entered(stack: AppointmentStack, clinic: Clinic) -> None:
    """Hours with breaks come back as they were sent; of two changes of one version one is made."""
    doctor = clinic.practitioner()
    path = f"{clinic.path}/practitioners/{doctor}"
    shown = stack.send("GET", path, by=person("PATIENT"))
    assert (WEEK, '"1"') == (shown.get_json()["hours"], shown.headers["ETag"])
    change = {"display_name": "Dr. Pop", "hours": WEEK[:1]}
    for match, status in ((None, 428), (1, 200), (1, 412)):
        assert status == stack.send("PUT", path, change, by=clinic.desk, match=match).status_code
    found = stack.send("GET", f"{clinic.path}/practitioners?limit=200", by=person("PATIENT"))
    assert "Dr. Pop" in [item["display_name"] for item in found.get_json()["items"]]
    again = {"practitioner_id": str(doctor), "display_name": "Dr. Pop", "hours": []}
    answer = stack.send("POST", f"{clinic.path}/practitioners", again, by=clinic.desk)
    assert "urn:dentalhelp:problem:already-there" == answer.get_json()["type"]


@pytest.mark.parametrize(
    ("what", "body", "key"),
    [
        ("chairs", {"name": "Chair A"}, "chair_id"),
        (
            "types",
            {"name": "Cleaning", "duration_minutes": 45, "price": 9900, "currency": "EUR"},
            "type_id",
        ),
    ],
)
def test_chairs_and_types(
    stack: AppointmentStack, clinic: Clinic, what: str, body: dict[str, Any], key: str
) -> None:
    """The desk adds and changes them, a name is there once, and everybody sees them page by
    page."""
    path = f"{clinic.path}/{what}"
    made = stack.send("POST", path, body, by=clinic.desk)
    assert 201 == made.status_code
    one = f"{path}/{made.get_json()[key]}"
    assert f"/api/appointments{one}" == made.headers["Location"]
    assert 409 == stack.send("POST", path, body, by=clinic.desk).status_code
    second = stack.send("POST", path, {**body, "name": "Another"}, by=clinic.desk).get_json()
    renamed = stack.send("PUT", f"{path}/{second[key]}", body, by=clinic.desk, match=1)
    assert 409 == renamed.status_code
    off = {**body, "active": False}
    for match, status in ((None, 428), (1, 200), (1, 412)):
        assert status == stack.send("PUT", one, off, by=clinic.desk, match=match).status_code
    shown = stack.send("GET", one, by=person("PATIENT"))
    assert (False, '"2"') == (shown.get_json()["active"], shown.headers["ETag"])
    names: list[str] = []
    cursor = ""
    while True:
        page = stack.send("GET", f"{path}?limit=1{cursor}", by=person("PATIENT")).get_json()
        names += [item["name"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(names) == names
    assert {"Another", body["name"]} <= set(names)


@pytest.mark.parametrize("currency", ["RO", "ron", "LEI1"])
def test_a_currency_is_a_code(stack: AppointmentStack, clinic: Clinic, currency: str) -> None:
    """ISO 4217: three capital letters."""
    body = {"name": "X", "duration_minutes": 45, "price": 1, "currency": currency}
    assert 422 == stack.send("POST", f"{clinic.path}/types", body, by=clinic.desk).status_code


def test_only_the_clinics_desk_keeps_its_schedule(stack: AppointmentStack, clinic: Clinic) -> None:
    """Another clinic's desk, dentists and patients change nothing, and see no leave."""
    elsewhere = uuid7()
    for caller in (
        person("RECEPTIONIST", elsewhere),
        person("ADMIN", elsewhere),
        person("DENTIST", clinic.id),
        person("PATIENT"),
    ):
        for what in ("practitioners", "chairs", "types", "exceptions"):
            answer = stack.send("POST", f"{clinic.path}/{what}", {"name": "X"}, by=caller)
            assert 403 == answer.status_code
    query = f"{clinic.path}/exceptions?from=2026-01-01&to=2026-02-01"
    assert 403 == stack.send("GET", query, by=person("DENTIST", elsewhere)).status_code
    assert 200 == stack.send("GET", query, by=person("DENTIST", clinic.id)).status_code


def test_a_clinic_follows_auth(stack: AppointmentStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """News of a clinic never go back; of a clinic nobody has told about auth is asked, once."""
    from functions.appointment.service import schedule

    clinic_id = uuid7()
    for version, zone in ((2, "Asia/Jakarta"), (1, "Europe/Bucharest")):
        stack.clinic(clinic_id, zone, version)
    assert "Asia/Jakarta" == schedule.zone_of(clinic_id)
    unheard, asked = uuid7(), []

    class Auth:
        def get(self, target: str, path: str) -> dict[str, str]:
            asked.append(path)
            if str(unheard) not in path:
                raise NotFound
            return {"name": "Nord", "time_zone": "Asia/Makassar"}

    monkeypatch.setattr(schedule, "client", lambda service: Auth())
    group = person("ADMIN")
    for name in ("A", "B"):
        body = {"name": name}
        answer = stack.send("POST", f"/clinics/{unheard}/chairs", body, by=group, key=f"c-{name}")
        assert 201 == answer.status_code
    assert [f"/clinics/{unheard}"] == asked
    assert "Asia/Makassar" == schedule.zone_of(unheard)
    stack.clinic(unheard, "Asia/Jayapura", 1)
    assert "Asia/Jayapura" == schedule.zone_of(unheard)
    stranger = stack.send("POST", f"/clinics/{uuid7()}/chairs", {"name": "A"}, by=group)
    assert 404 == stranger.status_code


@pytest.mark.parametrize(
    "window",
    [
        "from=2026-03-02T00:00:00Z&to=2026-05-02T00:00:00Z",
        "from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z",
        "from=9999-12-30T00:00:00Z&to=9999-12-31T00:00:00Z",
        "from=2026-03-02T00:00:00&to=2026-03-03T00:00:00",
        "from=2026-03-02T00:00:00Z",
    ],
)
def test_windows_that_are_refused(stack: AppointmentStack, clinic: Clinic, window: str) -> None:
    """A window is a month at most, near, and says its time zone."""
    doctor, kind = clinic.practitioner(), clinic.type()
    path = f"/slots?practitioner_id={doctor}&type_id={kind}&{window}"
    assert 422 == stack.send("GET", path, by=person("PATIENT")).status_code


def test_the_past_is_not_free(stack: AppointmentStack, clinic: Clinic, at: FrozenClock) -> None:
    """Slots that have begun are not offered, and a window in the past is empty."""
    doctor, kind = clinic.practitioner(), clinic.type()
    at.advance(timedelta(hours=2, minutes=10))
    assert utc("2026-03-02T07:15") == stack.slots(doctor, kind, NOW)[0]
    assert [] == stack.slots(doctor, kind, NOW - timedelta(days=3))
    strange = f"/slots?practitioner_id={uuid7()}&type_id={kind}&from=2026-03-02T00:00:00Z"
    answer = stack.send("GET", f"{strange}&to=2026-03-03T00:00:00Z", by=person("PATIENT"))
    assert 404 == answer.status_code
