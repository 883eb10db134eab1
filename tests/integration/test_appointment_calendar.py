"""Appointments in people's calendars: invitations in messages, and a calendar to follow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from icalendar import Calendar, Event

from functions.appointment.domain.visits import Visit
from functions.appointment.service import icalendar
from shared.config import config
from shared.contracts.gdpr import GdprDataDeletion
from shared.identity import Caller
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

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
time = time_fixture()


@pytest.fixture
def me(stack: AppointmentStack) -> Caller:
    """A patient."""
    return person("PATIENT", identity=stack.patient())


def booked(
    stack: AppointmentStack, clinic: Clinic, me: Caller, at: datetime = NINE, **more: Any
) -> dict[str, Any]:
    assert me.id is not None
    order = stack.order(me.id, clinic.practitioner(), clinic.type(), at, **more)
    return stack.made("POST", "", order, by=clinic.desk)


def step(
    stack: AppointmentStack, clinic: Clinic, visit: dict[str, Any], name: str, body: Any
) -> dict[str, Any]:
    path = f"/{visit['appointment_id']}/{name}"
    answer = stack.send("POST", path, body, by=clinic.desk, match=visit["version"])
    assert 200 == answer.status_code, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def invites(stack: AppointmentStack) -> list[str]:
    """The iCalendar objects in the messages since the last call."""
    sent, stack.sent = stack.sent, []
    return [env.payload["invite"] for env in sent if env.payload.get("invite")]


def only(text: str | bytes) -> tuple[Calendar, Event]:
    calendar = Calendar.from_ical(text)
    assert isinstance(calendar, Calendar)
    (event,) = calendar.events
    return calendar, event


def test_messages_bring_invitations(stack: AppointmentStack, clinic: Clinic, me: Caller) -> None:
    """Booking, moving and cancelling each send one object of one UID, whose SEQUENCE rises and
    whose METHOD says what to do."""
    stack.types()
    visit = booked(stack, clinic, me)
    moved = step(stack, clinic, visit, "reschedule", {"starts_at": (NINE + HALF).isoformat()})
    step(stack, clinic, moved, "cancel", {})
    found = [only(text) for text in invites(stack)]
    assert ["REQUEST", "REQUEST", "CANCEL"] == [calendar["METHOD"] for calendar, _ in found]
    assert {visit["appointment_id"]} == {event.uid for _, event in found}
    assert [1, 2, 3] == [event.sequence for _, event in found]
    assert [NINE, NINE + HALF, NINE + HALF] == [event.start for _, event in found]
    assert ["CONFIRMED", "CONFIRMED", "CANCELLED"] == [str(e["STATUS"]) for _, e in found]
    for calendar, event in found:
        assert "2.0" == calendar["VERSION"]
        assert {"DTSTAMP", "ORGANIZER", "ATTENDEE", "SUMMARY"} <= event.keys()  # RFC 5546, 3.2
        assert "mailto:no-reply@127.0.0.1" == str(event["ORGANIZER"])


def test_the_time_is_the_clinics(stack: AppointmentStack, clinic: Clinic, me: Caller) -> None:
    """DTSTART is on the clinic's wall, and its time zone is defined in the object."""
    stack.types()
    booked(stack, clinic, me, NINE + 4 * HALF)
    (text,) = invites(stack)
    assert "DTSTART;TZID=Europe/Bucharest:20260303T110000" in text
    calendar, _ = only(text)
    assert ["Europe/Bucharest"] == [zone.tz_name for zone in calendar.timezones]


def test_a_calendar_says_nothing_about_health(
    stack: AppointmentStack, clinic: Clinic, me: Caller
) -> None:
    """Neither the type, the note, the practitioner nor the patient's name stands in an object."""
    stack.types()
    visit = booked(stack, clinic, me, NINE + 5 * HALF, note="Durere la 36")
    (text,) = invites(stack)
    _, event = only(text)
    assert ("Centru", "Centru", "PRIVATE") == (
        str(event["SUMMARY"]),
        str(event["LOCATION"]),
        str(event["CLASS"]),
    )
    assert "DESCRIPTION" not in event
    for secret in ("Durere", "Check-up", "Popa", visit["practitioner_id"], visit["type_id"]):
        assert secret not in text


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("2026-10-25T00:30", "DTSTART;TZID=Europe/Bucharest:20261025T033000"),
        # The second 03:30 of that night, of which a local time cannot speak.
        ("2026-10-25T01:30", "DTSTART:20261025T013000Z"),
        ("2026-03-29T00:30", "DTSTART;TZID=Europe/Bucharest:20260329T023000"),
        ("2026-03-29T01:30", "DTSTART;TZID=Europe/Bucharest:20260329T043000"),
    ],
)
def test_the_night_the_clocks_change(at: str, shown: str) -> None:
    """An hour that a wall shows twice is told apart, and every object gives the moment back."""
    start = utc(at)
    text = icalendar.invitation(visit_at(start), "REQUEST")
    assert shown in text
    _, event = only(text)
    assert start == event.decoded("DTSTART").astimezone(UTC)


def visit_at(start: datetime) -> Visit:
    return Visit(
        appointment_id=uuid7(),
        version=1,
        patient_id=uuid7(),
        clinic_id=uuid7(),
        practitioner_id=uuid7(),
        type_id=uuid7(),
        chair_id=None,
        starts_at=start,
        ends_at=start + HALF,
        status="CONFIRMED",
        amount=1,
        currency="RON",
        cancelled_by=None,
        cancelled_at=None,
        acknowledged_at=None,
        series_id=None,
        booked_at=NOW,
        time_zone="Europe/Bucharest",
        clinic_name='Clinică "Zâmbet", etaj 2; Iași\nATTENDEE:mailto:x@example.org',
    )


def test_a_name_cannot_add_lines() -> None:
    """What a clinic is called is escaped: no line of it becomes a property, and lines are folded
    at 75 octets (RFC 5545, 3.1)."""
    visit = visit_at(NINE)
    text = icalendar.invitation(visit, "REQUEST")
    lines = text.split("\r\n")
    assert all(len(line.encode()) <= 75 for line in lines)
    assert not any(line.startswith("ATTENDEE:mailto:x") for line in lines)
    _, event = only(text)
    assert visit.clinic_name == str(event["SUMMARY"])


def test_one_invitation_to_download(stack: AppointmentStack, clinic: Clinic, me: Caller) -> None:
    """The patient and the clinic's staff download it; its ETag is the version; it turns into a
    CANCEL; a stranger finds nothing."""
    visit = booked(stack, clinic, me, NINE + 6 * HALF)
    path = f"/{visit['appointment_id']}/invite.ics"
    answer = stack.send("GET", path, by=me)
    assert ("text/calendar; charset=utf-8; method=REQUEST", '"1"') == (
        answer.headers["Content-Type"],
        answer.headers["ETag"],
    )
    assert "invite.ics" in answer.headers["Content-Disposition"]
    assert visit["appointment_id"] == only(answer.data)[1].uid
    assert 404 == stack.send("GET", path, by=person("PATIENT")).status_code
    step(stack, clinic, visit, "cancel", {})
    calendar, event = only(stack.send("GET", path, by=clinic.desk).data)
    assert ("CANCEL", 2) == (calendar["METHOD"], event.sequence)


def address(stack: AppointmentStack, me: Caller) -> str:
    """A new address of the calendar, as a path."""
    url: str = stack.made("POST", "/calendar", None, by=me)["url"]
    return url.removeprefix(config().public_url)


def feed(stack: AppointmentStack, path: str, **headers: str) -> tuple[int, str, Calendar | None]:
    """(status, ETag, calendar) without log-in."""
    answer = stack.app.test_client().get(path, headers=headers)
    calendar = Calendar.from_ical(answer.data) if answer.status_code == 200 else None
    assert calendar is None or isinstance(calendar, Calendar)
    return answer.status_code, answer.headers.get("ETag", ""), calendar


def test_a_calendar_follows(
    stack: AppointmentStack, clinic: Clinic, me: Caller, time: FrozenClock
) -> None:
    """The calendar has every appointment; it changes with them, and only then; what is cancelled
    stays as cancelled."""
    path = address(stack, me)
    status, empty, calendar = feed(stack, path)
    assert (200, []) == (status, [] if calendar is None else calendar.events)
    one, two = booked(stack, clinic, me), booked(stack, clinic, me, NINE + 10 * HALF)
    status, first, calendar = feed(stack, path)
    assert calendar is not None
    assert "METHOD" not in calendar
    assert [one["appointment_id"], two["appointment_id"]] == [e.uid for e in calendar.events]
    time.advance(timedelta(hours=1))
    assert (304, first, None) == feed(stack, path, **{"If-None-Match": first})
    step(stack, clinic, one, "cancel", {})
    status, second, calendar = feed(stack, path, **{"If-None-Match": first})
    assert calendar is not None
    assert {one["appointment_id"]: "CANCELLED", two["appointment_id"]: "CONFIRMED"} == {
        event.uid: str(event["STATUS"]) for event in calendar.events
    }
    assert 3 == len({empty, first, second})


def test_a_calendar_is_cached_by_its_reader_only(
    stack: AppointmentStack, clinic: Clinic, me: Caller
) -> None:
    """A calendar program may keep it for minutes, nobody between may; looks are on record."""
    booked(stack, clinic, me, NINE + 10 * HALF)
    answer = stack.app.test_client().get(address(stack, me))
    assert ("private, max-age=300", "text/calendar; charset=utf-8") == (
        answer.headers["Cache-Control"],
        answer.headers["Content-Type"],
    )
    noted = stack.rows(
        "select actor from audit_log where person_id = :p and what = 'calendar feed'"
        " and action = 'read'",
        p=me.id,
    )
    assert [None] == [row["actor"] for row in noted]


def test_an_address_can_be_revoked(stack: AppointmentStack, me: Caller) -> None:
    """A new address ends the one before; without one there is nothing, and nobody guesses one."""
    assert 404 == stack.send("GET", "/calendar", by=me).status_code
    old, new = address(stack, me), address(stack, me)
    assert (404, 200) == (feed(stack, old)[0], feed(stack, new)[0])
    assert NOW == datetime.fromisoformat(stack.made("GET", "/calendar", None, by=me)["made_at"])
    for _ in "ab":
        assert 204 == stack.send("DELETE", "/calendar", by=me).status_code
    assert 404 == feed(stack, new)[0]
    assert 404 == feed(stack, "/api/appointments/calendar/x/appointments.ics")[0]


def test_an_address_is_known_to_nobody_else(stack: AppointmentStack, me: Caller) -> None:
    """The table holds a hash, and of another person's appointments nothing is shown."""
    token = address(stack, me).split("/")[4]
    (row,) = stack.rows("select * from calendar_feeds where person_id = :p", p=me.id)
    assert token.encode() not in row["token_hash"]
    assert 32 == len(row["token_hash"])


def test_a_practitioner_follows_the_working_day(
    stack: AppointmentStack, clinic: Clinic, me: Caller
) -> None:
    """A practitioner's calendar shows when they are booked, and not by whom."""
    visit = booked(stack, clinic, me, NINE + 11 * HALF)
    doctor = person("DENTIST", clinic.id, UUID(visit["practitioner_id"]))
    path = address(stack, doctor)
    answer = stack.app.test_client().get(path)
    assert visit["appointment_id"] == only(answer.data)[1].uid
    assert str(me.id) not in answer.text


def test_an_erasure_ends_the_calendar(stack: AppointmentStack, me: Caller) -> None:
    """The address of somebody who was erased leads nowhere, and there is no new one."""
    assert me.id is not None
    path = address(stack, me)
    stack.receive(
        GdprDataDeletion(
            patient_id=me.id,
            erasure_id=uuid7(),
            reason="USER_REQUEST_ARTICLE_17",
            requested_by=me.id,
            requested_at=NOW,
        )
    )
    assert 404 == feed(stack, path)[0]
    assert 409 == stack.send("POST", "/calendar", by=me).status_code
