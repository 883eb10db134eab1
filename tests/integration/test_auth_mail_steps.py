"""The e-mails of a registration: ordered by its saga, and never in its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from functions.auth import sagas
from functions.auth.main import service as auth
from infra.local.mail_sink import MailSink
from infra.local.mailbox import Mailbox
from infra.local.preflight import HOST, free_port
from shared.config import config
from shared.contracts.notification import SendInvitation, SendWelcome
from shared.errors import Conflict
from shared.testing import SagaTest, frozen
from tests.platform import PASSWORD, Platform

PERSON = UUID("01980000-0000-7000-8000-000000000001")
INVITED = {"first_name": "Vasile", "last_name": "Pop", "language": "ro"}


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    return Platform(service_db)


@pytest.fixture
def mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """What arrives in the outside world."""
    sink = MailSink(free_port(), tmp_path)
    sink.start()
    monkeypatch.setenv("SMTP_URL", f"smtp://{HOST}:{sink.port}")
    config.cache_clear()
    yield Mailbox(tmp_path)
    sink.stop()
    monkeypatch.undo()
    config.cache_clear()


def _follow(platform: Platform, made: dict[str, Any]) -> tuple[str, dict[str, str]]:
    path = f"/api/auth/registrations/{made['registration_id']}"
    found = platform.call("GET", path).json or {}
    return found["status"], {step["name"]: step["state"] for step in found["steps"]}


def _invite(platform: Platform, desk: str, **more: str) -> dict[str, Any]:
    token = platform.staff(desk, {"role": "RECEPTIONIST"})
    made = platform.call("POST", "/api/auth/invitations", {**INVITED, **more}, token=token)
    assert 201 == made.status_code, made.text
    platform.drain()
    found: dict[str, Any] = made.json or {}
    return found


def _sent(mailbox: Mailbox) -> list[tuple[list[str], str]]:
    mails = [mailbox.show(mail["id"]) for mail in mailbox.newest(10)["items"]]
    return [(mail["to"], mail["text"]) for mail in mails]


def test_whoever_registers_is_welcomed_by_e_mail(platform: Platform, mailbox: Mailbox) -> None:
    """The saga's last step orders one welcome, to the address that was registered."""
    made = platform.register("welcome@example.com", language="ro")
    status, steps = _follow(platform, made)
    assert ("ACTIVE", "DONE") == (status, steps["send welcome"])
    ((to, text),) = _sent(mailbox)
    assert ["welcome@example.com"] == to
    assert "Popescu" not in text


def test_whoever_is_invited_gets_the_link(platform: Platform, mailbox: Mailbox) -> None:
    """The link in the e-mail is the one the reception holds; whoever uses it is welcomed."""
    made = _invite(platform, "mail.desk@example.com", email="invited@example.com")
    status, steps = _follow(platform, made)
    assert ("ACTIVE", "DONE") == (status, steps["send invitation"])
    ((to, text),) = _sent(mailbox)
    assert (["invited@example.com"], True) == (to, made["link"] in text)
    body = {"token": made["link"].partition("#")[2], "password": PASSWORD}
    assert 204 == platform.call("POST", "/api/auth/invitations/accept", body).status_code
    platform.drain()
    assert 2 == len(_sent(mailbox))


def test_without_an_address_no_e_mail_is_ordered(platform: Platform, mailbox: Mailbox) -> None:
    """Where the reception knows no address the registration has three steps, all done."""
    made = _invite(platform, "silent.desk@example.com")
    status, steps = _follow(platform, made)
    assert ("ACTIVE", ["DONE"] * 3) == (status, list(steps.values()))
    assert [] == _sent(mailbox)


def test_notification_away_changes_nothing_else(platform: Platform, mailbox: Mailbox) -> None:
    """The person is let in at once; the step gives up, and the e-mail still comes, once."""
    platform.away.add("notification")
    with frozen() as clock:
        made = platform.register("away@example.com")
        status, steps = _follow(platform, made)
        assert ("ACTIVE", "RUNNING") == (status, steps["send welcome"])
        for _ in range(8):
            clock.advance(timedelta(seconds=10))
            auth.orchestrator.tick()
        status, steps = _follow(platform, made)
        assert ("ACTIVE", "SKIPPED") == (status, steps["send welcome"])
        db = platform.databases["auth"]
        kept = db.all("select data from sagas where id = :id", id=made["registration_id"])
        assert [{"data": None}] == kept
        platform.away.clear()
        clock.advance(timedelta(minutes=10))
        platform.drain()
    assert platform.token("away@example.com")
    assert [["away@example.com"]] == [to for to, _ in _sent(mailbox)]


def test_a_refused_e_mail_changes_nothing_else() -> None:
    """The saga completes although the step behind the pivot is refused."""
    saga = next(saga for saga in sagas.sagas if saga.steps[-1].do is SendWelcome)
    test = SagaTest(saga).given(person_id=PERSON, patient_id=PERSON, **_data())
    test.reply().reply().reply().expect(SendWelcome(person_id=PERSON, language="ro"))
    test.reply(Conflict).expect_nothing().ended("COMPLETED")
    assert ["DONE", "DONE", "DONE", "REFUSED"] == list(test.states.values())


def test_the_invitation_carries_its_link() -> None:
    """The link comes from the saga's data; silence about it changes nothing else."""
    saga = next(saga for saga in sagas.sagas if saga.steps[-1].do is SendInvitation)
    link = "https://clinic.example/invitation#token"
    test = SagaTest(saga).given(person_id=PERSON, patient_id=PERSON, link=link, **_data())
    test.reply().reply().reply()
    test.expect(SendInvitation(person_id=PERSON, language="ro", link=link))
    for seconds in (10, 20, 40):
        test.wait(timedelta(seconds=seconds))
    test.expect_nothing().ended("COMPLETED")
    assert ["DONE", "DONE", "DONE", "SKIPPED"] == list(test.states.values())


def _data() -> dict[str, Any]:
    return {
        **INVITED,
        "email": "ana@example.com",
        "password_hash": None,
        "national_id": None,
        "phone": None,
        "birth_date": None,
        "anamnesis": None,
        "email_version": 1,
    }
