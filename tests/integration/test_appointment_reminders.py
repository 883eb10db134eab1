"""Reminders: each appointment time and lead once, and what patients answer by the link."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from functions.appointment.jobs import remind
from shared.config import config
from shared.messages import Envelope
from shared.testing import FrozenClock
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

FRIDAY = utc("2026-03-06T08:00")
HOUR = timedelta(hours=1)

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
time = time_fixture()


def booked(
    stack: AppointmentStack, clinic: Clinic, at: datetime = FRIDAY, **kind: Any
) -> dict[str, Any]:
    order = stack.order(stack.patient(), clinic.practitioner(), clinic.type(**kind), at)
    return stack.made("POST", "", order, by=clinic.desk)


def reminded(stack: AppointmentStack, visit: dict[str, Any]) -> list[Envelope]:
    """Run the job: the reminders of this appointment that it has sent."""
    stack.types()
    remind()
    return [
        env
        for env in stack.sent
        if env.event_type == "APPOINTMENT_REMINDER_DUE"
        and env.payload["appointment_id"] == visit["appointment_id"]
    ]


def leads(stack: AppointmentStack, visit: dict[str, Any]) -> list[int]:
    return [env.payload["hours_before"] for env in reminded(stack, visit)]


def follow(stack: AppointmentStack, link: str, how: str = "", language: str = "en") -> TestResponse:
    """Open a link as a browser does, or press a button of its page."""
    path = link.removeprefix(config().public_url) + how
    return stack.app.test_client().open(
        path, method="POST" if how else "GET", headers={"Accept-Language": language}
    )


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


class _Page(HTMLParser):
    """What a page offers: its language and the targets of its forms."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.language, self.tags = "", set[str]()
        self.targets: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        named = dict(attrs)
        if tag == "html":
            self.language = str(named["lang"])
        if tag == "form":
            self.targets.append((str(named["method"]), str(named["action"])))


def link(stack: AppointmentStack, visit: dict[str, Any], time: FrozenClock) -> str:
    """The link in the first reminder."""
    time.advance(FRIDAY - NOW - 48 * HOUR)
    found: str = reminded(stack, visit)[0].payload["link"]
    return found


@pytest.mark.parametrize(
    ("asked", "language", "day"),
    [
        ("ro-RO,en;q=0.5", "ro", "vineri, 6 martie 2026, 10:00"),
        ("id", "id", "Jumat, 6 Maret 2026, 10.00"),
        ("de,en;q=0.3", "en", "Friday, 6 March 2026, 10:00"),
        ("", "en", "Friday, 6 March 2026, 10:00"),
    ],
)
def test_the_page_speaks_the_readers_language(
    stack: AppointmentStack,
    clinic: Clinic,
    time: FrozenClock,
    *,
    asked: str,
    language: str,
    day: str,
) -> None:
    """The page says when in the reader's language, at the clinic's time, and names nobody."""
    visit = booked(stack, clinic)
    answer = follow(stack, link(stack, visit, time), language=asked)
    page = _Page(answer.text)
    assert (200, language) == (answer.status_code, page.language)
    assert day in answer.text
    assert {"html", "head", "meta", "title", "style", "body", "main", "h1"} <= page.tags
    assert "script" not in page.tags
    assert ["post", "post"] == [method for method, _ in page.targets]
    assert visit["patient_id"] not in answer.text


def test_the_page_keeps_the_link_to_itself(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """No cache, frame, script, referrer or search engine gets hold of it; the style is the only
    one allowed."""
    answer = follow(stack, link(stack, booked(stack, clinic), time))
    policy = answer.headers["Content-Security-Policy"]
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/]{43}='; form-action 'self';"
        r" base-uri 'none'; frame-ancestors 'none'",
        policy,
    )
    named = ("Cache-Control", "Referrer-Policy", "X-Robots-Tag", "X-Content-Type-Options")
    assert ["no-store", "no-referrer", "noindex", "nosniff"] == [answer.headers[n] for n in named]
    assert "text/html; charset=utf-8" == answer.headers["Content-Type"]


def test_looking_changes_nothing(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """A mail scanner that follows the link, the buttons' addresses too, does no harm."""
    visit = booked(stack, clinic)
    address = link(stack, visit, time)
    stack.types()
    for how in ("", "/acknowledge", "/cancel"):
        path = address.removeprefix(config().public_url) + how
        answer = stack.app.test_client().get(path)
        assert (405 if how else 200) == answer.status_code
    assert [] == stack.types()
    shown = stack.made("GET", f"/{visit['appointment_id']}", None, by=clinic.desk)
    assert (1, None) == (shown["version"], shown["acknowledged_at"])


def test_saying_yes(stack: AppointmentStack, clinic: Clinic, time: FrozenClock) -> None:
    """The patient acknowledges once; again, the page says the same and nothing more is told."""
    visit = booked(stack, clinic)
    address = link(stack, visit, time)
    (_, target), _ = _Page(follow(stack, address).text).targets
    stack.types()
    assert "/acknowledge" == target.removeprefix(address.removeprefix(config().public_url))
    for _ in "ab":
        answer = follow(stack, address, "/acknowledge")
        assert 200 == answer.status_code
        assert "see you then" in answer.text
    assert ["APPOINTMENT_ACKNOWLEDGED"] == stack.types()
    shown = stack.made("GET", f"/{visit['appointment_id']}", None, by=clinic.desk)
    assert shown["acknowledged_at"] is not None


def test_cancelling_frees_the_slot(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """The patient cancels by the link; the slot is free, and saying yes is over."""
    visit = booked(stack, clinic)
    address = link(stack, visit, time)
    stack.types()
    for _ in "ab":
        answer = follow(stack, address, "/cancel")
        assert 200 == answer.status_code
        assert "is cancelled" in answer.text
    (told,) = [env for env in stack.sent if env.event_type == "APPOINTMENT_CANCELLED"]
    assert "PATIENT" == told.payload["cancelled_by"]
    doctor, kind = UUID(visit["practitioner_id"]), UUID(visit["type_id"])
    assert FRIDAY in stack.slots(doctor, kind, FRIDAY)
    assert 409 == follow(stack, address, "/acknowledge").status_code


def test_too_late_to_cancel(stack: AppointmentStack, clinic: Clinic, time: FrozenClock) -> None:
    """After the cut-off of its type the page offers no cancelling, and refuses it."""
    visit = booked(stack, clinic, cutoff=60 * 24)
    address = link(stack, visit, time)
    time.advance(30 * HOUR)
    page = _Page(follow(stack, address).text)
    assert ["acknowledge"] == [target.rpartition("/")[2] for _, target in page.targets]
    answer = follow(stack, address, "/cancel")
    assert 409 == answer.status_code
    assert "call the clinic" in answer.text


def test_links_that_are_none(stack: AppointmentStack, clinic: Clinic, time: FrozenClock) -> None:
    """A damaged link, one of another kind and one that has expired are pages, too."""
    address = link(stack, booked(stack, clinic), time)
    assert 404 == follow(stack, address + "x").status_code
    assert 404 == follow(stack, address.replace("reminders", "offers")).status_code
    assert 404 == follow(stack, address, "/erase").status_code
    time.advance(48 * HOUR)
    answer = follow(stack, address, language="ro")
    assert 410 == answer.status_code
    assert "a expirat" in answer.text
