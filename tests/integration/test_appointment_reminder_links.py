"""What patients see and answer by the link in a reminder."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest

from shared.config import config
from shared.testing import FrozenClock
from tests.appointment_stack import (
    NOW,
    AppointmentStack,
    Clinic,
    clinic_fixture,
    time_fixture,
)
from tests.integration.reminder_stack import FRIDAY, HOUR, booked, follow, reminded
from tests.service_stack import stack_fixture

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
time = time_fixture()


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
