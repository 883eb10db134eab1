"""What the log says of a message: which one it was, and what it was part of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from shared.bus import Push, push_body
from shared.contracts.auth import EmailUpdated
from shared.messages import Envelope, envelope
from tests.platform import Platform


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    return Platform(service_db)


def moved(version: int | None) -> Envelope:
    """The news of another e-mail address; without a version it can never be handled."""
    event = EmailUpdated(person_id=uuid4(), email="moved.away@example.com")
    return envelope(event, source="auth", version=version)


def test_a_letter_is_found_in_the_log(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line of a parked message says which service parked it and what caused it."""
    rejected, given_up = moved(version=None), moved(version=5)
    platform.bus.publish("auth", [rejected])
    platform.bus.publish("patient.dead-letters", [given_up])
    platform.drain()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    parked = {line["id"]: line for line in lines if line["message"] == "dead_letter"}
    for env in (rejected, given_up):
        line = parked[str(env.event_id)]
        assert ("patient", env.metadata.correlation_id) == (
            line["service"],
            line["correlation_id"],
        )


def test_a_message_that_fails_is_named_in_the_log(
    platform: Platform, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failed delivery says which message of what it was; its stack says the same."""
    service, env = platform.services["patient"], moved(version=5)

    def broken(*_: Any) -> None:
        raise RuntimeError

    handler = replace(service.on.handlers["EMAIL_UPDATED"], call=broken)
    monkeypatch.setitem(service.on.handlers, "EMAIL_UPDATED", handler)
    push = Push(
        data=env.to_json().encode(),
        attributes={},
        message_id="1",
        publish_time=datetime.now(UTC),
        subscription="patient.auth",
    )
    with pytest.raises(RuntimeError) as fault:
        service.deliver(push_body(push))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    failed = [line for line in lines if line["message"] == "message"]
    facts = ("severity", "outcome", "event_type", "correlation_id", "causation_id")
    expected = ["WARNING", "failed", "EMAIL_UPDATED", env.metadata.correlation_id]
    assert [*expected, str(env.event_id)] == [failed[0][fact] for fact in facts]
    assert [f"correlation_id: {env.metadata.correlation_id}"] == fault.value.__notes__
