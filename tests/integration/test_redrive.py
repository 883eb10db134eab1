"""``make redrive`` against a platform that listens on a real port."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from werkzeug.serving import make_server

from infra import redrive
from shared.contracts.auth import EmailUpdated, UserRemoved
from shared.messages import Envelope, envelope
from tests.platform import PASSWORD, Platform

Run = Callable[..., int]


@pytest.fixture
def platform(service_db: Callable[[str], str]) -> Platform:
    """A platform of the test's own."""
    made = Platform(service_db)
    made.admin()
    return made


@pytest.fixture
def run(platform: Platform, tmp_path: Path) -> Iterator[Run]:
    """The command, with settings such as ``TYPE="EMAIL_UPDATED"``; its exit code."""
    file = tmp_path / "admin.json"
    file.write_text(json.dumps({"email": "admin@example.com", "password": PASSWORD}))
    server = make_server("127.0.0.1", 0, platform.client.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    usual = {"URL": f"http://127.0.0.1:{server.server_port}", "ADMIN_FILE": str(file)}
    yield lambda **settings: redrive.main({**usual, **settings})
    server.shutdown()
    thread.join()


def moved(person: str | UUID, email: str, version: int | None) -> Envelope:
    """The news of another e-mail address; without a version it can never be handled."""
    event = EmailUpdated(person_id=UUID(str(person)), email=email)
    return envelope(event, source="auth", version=version)


def park(platform: Platform, *messages: Envelope) -> None:
    """Let the broker give ``messages`` up, in this order."""
    platform.bus.publish("patient.dead-letters", messages)
    platform.drain()


def email(platform: Platform, person: Any) -> str:
    """The address that patient knows."""
    row = platform.databases["patient"].one(
        "select email from patients where patient_id = :person", person=person
    )
    return str(row and row["email"])


def left(platform: Platform) -> list[str]:
    """The types of the letters that are still there."""
    rows = platform.databases["patient"].all("select event_type from dead_letters order by id")
    return [row["event_type"] for row in rows]


def _said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the command printed, without the log of the services."""
    return [line for line in capsys.readouterr().out.splitlines() if not line.startswith("{")]


def test_all_of_a_kind_take_effect_in_order(
    platform: Platform, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Letters of one kind are redriven, oldest first, over several pages; the others stay."""
    person = platform.register("first@example.com")["patient_id"]
    news = [moved(person, f"{n}@example.com", 5 + n) for n in range(3)]
    others = [moved(uuid4(), "other@example.com", 1) for _ in range(210)]
    park(platform, envelope(UserRemoved(person_id=uuid4()), source="auth"), *news, *others)
    assert 0 == run(SERVICE="patient", TYPE="EMAIL_UPDATED")
    assert ["213 handled"] == _said(capsys)
    assert ("2@example.com", ["USER_REMOVED"]) == (email(platform, person), left(platform))
    done = platform.databases["patient"].all(
        "select what from audit_log where action = 'redrive' order by id limit 3"
    )
    wanted = [f"dead letter EMAIL_UPDATED {env.event_id}" for env in news]
    assert wanted == [row["what"] for row in done]


def test_what_fails_again_is_named(
    platform: Platform, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, each letter that fails with its reason, and the rest took effect."""
    good, bad = moved(uuid4(), "a@example.com", 3), moved(uuid4(), "b@example.com", None)
    park(platform, bad, good)
    assert 1 == run(SERVICE="patient")
    lines = _said(capsys)
    reason = "an e-mail address without the version it is from"
    assert [f"  {bad.event_id}: {reason}", "1 failed again, 1 handled"] == lines
    assert ["EMAIL_UPDATED"] == left(platform)


def test_nothing_to_do_is_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Without letters the command says so and succeeds."""
    assert 0 == run(SERVICE="patient", TYPE="NOBODY_SAID_THIS")
    assert ["There are no such dead letters."] == _said(capsys)


def test_an_unknown_service_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the services there are."""
    assert 1 == run(SERVICE="nobody")
    assert "SERVICE must be one of appointment, auth, " in capsys.readouterr().err
