"""A platform whose patient service has dead letters, and an operator who deals with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from shared.contracts.auth import EmailUpdated
from shared.messages import Envelope, envelope
from tests.platform import Platform

__all__ = [
    "LETTERS",
    "NEW",
    "Bytes",
    "admin_fixture",
    "audited",
    "listed",
    "moved",
    "park",
    "platform_fixture",
    "redrive",
    "stored",
]

LETTERS = "/api/patients/-/dead-letters"
NEW = "moved.away@example.com"


def platform_fixture() -> Any:
    """A fixture: one platform for the module that has it."""

    @pytest.fixture(scope="module")
    def platform(service_db: Callable[[str], str]) -> Platform:
        return Platform(service_db)

    return platform


def admin_fixture() -> Any:
    """A fixture: the token of a group-wide ADMIN of that platform."""

    @pytest.fixture(scope="module")
    def admin(platform: Platform) -> str:
        return platform.admin()

    return admin


class Bytes:
    """What is published as it is."""

    ordering_key = ""

    def __init__(self, text: str, **attributes: str) -> None:
        self._text, self._attributes = text, attributes

    def to_json(self) -> str:
        """See ``shared.bus.Publishable``."""
        return self._text

    def attributes(self) -> dict[str, str]:
        """See ``shared.bus.Publishable``."""
        return self._attributes


def moved(person: UUID | str, version: int | None = 5) -> Envelope:
    """The news of another e-mail address; without a version it can never be handled."""
    event = EmailUpdated(person_id=UUID(str(person)), email=NEW)
    return envelope(event, source="auth", version=version)


def park(platform: Platform, env: Envelope, source: str = "patient.auth") -> str:
    """Let the broker give ``env`` up; the letter's id."""
    added = {
        "CloudPubSubDeadLetterSourceSubscription": source,
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
    }
    platform.bus.publish("patient.dead-letters", [Bytes(env.to_json(), **added)])
    platform.drain()
    return str(env.event_id)


def redrive(platform: Platform, token: str, letter: str) -> tuple[int, Any]:
    """The status, and the outcome or the reason."""
    answer = platform.call("POST", f"{LETTERS}/{letter}/redrive", token=token)
    body = answer.json or {}
    return answer.status_code, body.get("outcome") or body.get("reason")


def listed(platform: Platform, token: str, query: str = "") -> list[dict[str, Any]]:
    """The page of dead letters."""
    found: list[dict[str, Any]] = platform.call("GET", LETTERS + query, token=token).json["items"]  # type: ignore[index]
    return found


def audited(platform: Platform, letter: str) -> list[tuple[str, str | None, bool]]:
    """(action, about whom, by a person) of what the audit keeps of a letter, in order."""
    rows = platform.databases["patient"].all(
        "select action, person_id, actor, roles from audit_log where what like :what order by id",
        what=f"dead letter % {letter}",
    )
    return [
        (row["action"], row["person_id"] and str(row["person_id"]), row["roles"] == ["ADMIN"])
        for row in rows
    ]


def stored(platform: Platform, letter: str) -> dict[str, Any] | None:
    """The letter's row as text, and its attempts."""
    return platform.databases["patient"].one(
        "select to_jsonb(d)::text as text, encode(sealed, 'escape') as sealed, attempts"
        " from dead_letters d where id = :id",
        id=letter,
    )
