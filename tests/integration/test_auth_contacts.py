"""Where a person is written to: asked by notification, told to nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask, request

from functions.auth.main import service
from shared.bus import Subscription, parse_push
from shared.identity import Caller
from shared.messages import Envelope
from tests.platform import PASSWORD, Platform

NOTIFICATION = Caller("service", service="notification")


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    return Platform(service_db)


def _contact(person_id: UUID | str, caller: Caller = NOTIFICATION) -> tuple[int, dict[str, Any]]:
    with Flask("test").test_request_context(f"/api/auth/-/contacts/{person_id}"):
        answer = service.api.handle(request, lambda _: caller)
    return answer.status_code, answer.get_json()


def test_notification_learns_address_and_language(platform: Platform) -> None:
    """The answer is the address as it is now and the person's language, nothing else."""
    made = platform.register("contact@example.com", language="ro")
    found = _contact(made["patient_id"])
    assert (200, {"email": "contact@example.com", "language": "ro"}) == found
    body = {"email": "moved@example.com", "password": PASSWORD}
    token = platform.token("contact@example.com")
    assert 200 == platform.call("PATCH", "/api/auth/me/email", body, token=token).status_code
    found = _contact(made["patient_id"])
    assert (200, {"email": "moved@example.com", "language": "ro"}) == found


def test_without_an_address_there_is_none_to_learn(platform: Platform) -> None:
    """A person whom the reception registered without an address has none."""
    desk = platform.staff("contact.desk@example.com", {"role": "RECEPTIONIST"})
    body = {"first_name": "Vasile", "last_name": "Pop", "language": "id"}
    made = platform.call("POST", "/api/auth/invitations", body, token=desk).json or {}
    assert (200, {"email": None, "language": "id"}) == _contact(made["patient_id"])


def test_nobody_has_no_address(platform: Platform) -> None:
    """An unknown person is 404."""
    assert 404 == _contact(uuid4())[0]


def test_another_service_learns_nothing(platform: Platform) -> None:
    """Only the service that writes e-mails may ask."""
    assert 403 == _contact(uuid4(), Caller("service", service="patient"))[0]


def test_a_change_of_address_names_the_previous_one(platform: Platform) -> None:
    """Whoever warns the person by e-mail can warn the old address, too."""
    told: list[Envelope] = []

    def listener(body: bytes) -> int:
        told.append(Envelope.parse(parse_push(body).data))
        return 204

    platform.bus.subscribe(Subscription("test.auth", "auth", "test", "http://memory"), listener)
    platform.register("one@example.com")
    body = {"email": "two@example.com", "password": PASSWORD}
    token = platform.token("one@example.com")
    assert 200 == platform.call("PATCH", "/api/auth/me/email", body, token=token).status_code
    platform.drain()
    (changed,) = [env.payload for env in told if env.event_type == "EMAIL_UPDATED"]
    assert ("two@example.com", "one@example.com") == (changed["email"], changed["previous"])
