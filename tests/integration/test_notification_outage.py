"""E-mails when something is away: tried again, given up, redriven; never lost, never silently."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from functions.notification.service import sending, smtp
from functions.notification.store import deliveries
from shared import faults
from shared.contracts.auth import EmailUpdated, PasswordChanged
from shared.contracts.notification import SendInvitation
from tests.mail_server import MailServer
from tests.notification_stack import Clinic

LINK = "https://clinic.example/invitation#a.b-c_d"
LETTERS = "/api/notifications/-/dead-letters"


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    """One provider for the module."""
    running = MailServer()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def mail(server: MailServer) -> Iterator[MailServer]:
    """A provider that is well again after each test."""
    yield server
    server.replies.clear()
    server.data_reply, server.silent = None, False
    if not server.up:
        server.start()


@pytest.fixture(scope="module")
def clinic(service_db: Callable[[str], str], server: MailServer) -> Clinic:
    """The platform of this module; every test has people of its own."""
    return Clinic(service_db, server)


@pytest.fixture(scope="module")
def admin(clinic: Clinic) -> str:
    """The token of whoever looks after dead letters."""
    return clinic.admin()


def _letters(clinic: Clinic, admin: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (clinic.call("GET", LETTERS, token=admin).json or {})["items"]
    return found


def _redrive(clinic: Clinic, admin: str, letter: dict[str, Any]) -> str:
    response = clinic.call("POST", f"{LETTERS}/{letter['id']}/redrive", token=admin)
    assert 200 == response.status_code, response.text
    return str((response.json or {})["outcome"])


def test_a_provider_that_is_down_is_asked_later_and_later(clinic: Clinic, mail: MailServer) -> None:
    """Each failed try doubles the wait; when the provider is back, the mail leaves once."""
    ana = clinic.person("ana@example.com")
    mail.stop()
    clinic.happens(PasswordChanged(person_id=ana))
    for attempts in range(1, 5):
        [row] = clinic.deliveries(ana)
        longest = timedelta(seconds=2 ** (attempts - 1))
        assert ("PENDING", attempts, "ConnectionRefusedError") == (
            row["state"],
            row["attempts"],
            row["reason"],
        )
        assert longest * 0.4 < row["wait"] <= longest
        assert 0 == clinic.send_now()
    mail.start()
    assert 1 == clinic.send_now()
    assert 0 == clinic.send_now()
    assert 1 == len(mail.to("ana@example.com"))


def test_nothing_is_tried_before_it_is_due(clinic: Clinic, mail: MailServer) -> None:
    """Between two tries the provider is left alone."""
    bob = clinic.person("bob@example.com")
    mail.replies["*"] = "451 4.3.0 busy"
    clinic.happens(PasswordChanged(person_id=bob))
    clinic.db.all("update deliveries set due_at = clock_timestamp() + interval '1 hour'")
    asked = mail.asked
    assert 0 == sending.send_due()
    assert asked == mail.asked
    assert [("PENDING", "451")] == [(r["state"], r["reason"]) for r in clinic.deliveries(bob)]
    mail.replies.clear()
    assert 1 == clinic.send_now()


def test_one_busy_address_does_not_hold_up_the_others(clinic: Clinic, mail: MailServer) -> None:
    """A provider that puts off one recipient (greylisting) still gets everybody else's mail."""
    people = [clinic.person(f"c{n}@example.com") for n in range(3)]
    mail.stop()
    for person in people:
        clinic.happens(PasswordChanged(person_id=person))
    mail.start()
    mail.replies["c0@example.com"] = "450 4.2.0 greylisted"
    assert 2 == clinic.send_now()
    assert ["PENDING", "SENT", "SENT"] == [clinic.states(person)[0] for person in people]
    mail.replies.clear()
    assert 1 == clinic.send_now()


def test_an_address_that_is_refused_for_good(clinic: Clinic, mail: MailServer, admin: str) -> None:
    """550 is final: no further try, one dead letter that quotes nothing, and a redrive sends."""
    dan = clinic.person("dan@example.com")
    mail.replies["dan@example.com"] = "550 5.1.1 no such user dan@example.com"
    clinic.happens(PasswordChanged(person_id=dan))
    assert [("DEAD", 1, "550")] == [
        (row["state"], row["attempts"], row["reason"]) for row in clinic.deliveries(dan)
    ]
    asked = mail.asked
    assert 0 == clinic.send_now()
    assert asked == mail.asked
    [letter] = _letters(clinic, admin)
    assert ("DELIVER_EMAIL", "mail: 550", 1) == (
        letter["event_type"],
        letter["reason"],
        letter["attempts"],
    )
    assert "dan@example" not in str(letter)

    # Still refused: redriving it again makes a new letter of it.
    assert "handled" == _redrive(clinic, admin, letter)
    assert ["DEAD"] == clinic.states(dan)
    [again] = _letters(clinic, admin)
    assert letter["id"] != again["id"]

    mail.replies.clear()
    assert "handled" == _redrive(clinic, admin, again)
    assert ["SENT"] == clinic.states(dan)
    assert [] == _letters(clinic, admin)
    assert 1 == len(mail.to("dan@example.com"))


def test_a_mail_that_is_refused_for_good(clinic: Clinic, mail: MailServer, admin: str) -> None:
    """The same where the provider refuses the mail and not the address."""
    eva = clinic.person("eva@example.com")
    mail.data_reply = "554 5.7.1 looks like spam"
    clinic.happens(PasswordChanged(person_id=eva))
    assert [("DEAD", "554")] == [(r["state"], r["reason"]) for r in clinic.deliveries(eva)]
    mail.data_reply = None
    assert "handled" == _redrive(clinic, admin, _letters(clinic, admin)[0])
    assert 1 == len(mail.to("eva@example.com"))


def test_tries_are_used_up(clinic: Clinic, mail: MailServer, admin: str) -> None:
    """The eighth failure gives the mail up; what it needs rests sealed until the redrive."""
    flo = clinic.person("flo@example.com")
    mail.stop()
    clinic.commanded(SendInvitation(person_id=flo, link=LINK))
    for _ in range(6):
        clinic.send_now()
    assert ["PENDING"] == clinic.states(flo)
    clinic.send_now()
    [row] = clinic.deliveries(flo)
    assert ("DEAD", 8) == (row["state"], row["attempts"])
    mail.start()
    assert 0 == clinic.send_now()
    [letter] = _letters(clinic, admin)
    assert 8 == letter["attempts"]
    assert "handled" == _redrive(clinic, admin, letter)
    [sent] = mail.to("flo@example.com")
    assert LINK in sent.part("plain").splitlines()
    assert ("SENT", None) == (clinic.states(flo)[0], clinic.deliveries(flo)[0]["link"])


def test_while_auth_is_away_mail_waits(clinic: Clinic, mail: MailServer) -> None:
    """Nobody knows the address then: the mail waits, and it is not the provider's failure."""
    gil = clinic.person("gil@example.com")
    clinic.away.add("auth")
    clinic.happens(PasswordChanged(person_id=gil))
    clinic.send_now()
    [row] = clinic.deliveries(gil)
    assert ("PENDING", 0) == (row["state"], row["attempts"])
    assert timedelta(seconds=4) < row["wait"]
    clinic.away.clear()
    assert 1 == clinic.send_now()


def test_a_provider_that_does_not_answer(
    clinic: Clinic, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken or not, nobody knows: the mail is sent again under the same Message-ID."""
    monkeypatch.setattr(smtp, "TIMEOUT_S", 0.3)
    hal = clinic.person("hal@example.com")
    mail.silent = True
    clinic.happens(PasswordChanged(person_id=hal))
    assert ["PENDING"] == clinic.states(hal)
    mail.silent = False
    assert 1 == clinic.send_now()
    first, second = mail.to("hal@example.com")
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert [("PASSWORD_CHANGED", "EMAIL"), ("PASSWORD_CHANGED", "IN_APP")] == clinic.channels(hal)


def test_a_sender_that_dies_after_the_provider_took_it(
    clinic: Clinic, mail: MailServer, tmp_path: Path
) -> None:
    """The mail leaves again when the lease has ended, the same on the outside; told once."""
    ida = clinic.person("ida@example.com")
    (tmp_path / "mail.accepted").write_text("error")
    with faults.installed(tmp_path):
        clinic.happens(PasswordChanged(person_id=ida))
    [row] = clinic.deliveries(ida)
    assert "PENDING" == row["state"]
    assert timedelta(seconds=50) < row["wait"] <= timedelta(seconds=60)
    assert 0 == sending.send_due()
    assert [("PASSWORD_CHANGED", "IN_APP")] == clinic.channels(ida)
    assert 1 == clinic.send_now()
    first, second = mail.to("ida@example.com")
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert 2 == len(clinic.channels(ida))


def test_a_sender_that_wakes_up_late_changes_nothing(clinic: Clinic, mail: MailServer) -> None:
    """Its fence is not the mail's any more: it may not send, nor mark, nor give up."""
    jan = clinic.person("jan@example.com")
    mail.stop()
    clinic.happens(PasswordChanged(person_id=jan))
    clinic.db.all("update deliveries set due_at = clock_timestamp() where person_id = :p", p=jan)
    late = deliveries.claim(clinic.db)
    assert late is not None
    clinic.db.all("update deliveries set due_at = clock_timestamp() where person_id = :p", p=jan)
    other = deliveries.claim(clinic.db)
    assert other is not None
    assert deliveries.confirm(clinic.db, late) is None
    deliveries.failed(clinic.db, late, "late", 60)
    deliveries.postpone(clinic.db, late, 60)
    deliveries.skip(clinic.db, late, "late")
    assert clinic.db.transaction(lambda tx: deliveries.sent(tx, late)) is None
    assert not clinic.db.transaction(lambda tx: deliveries.dead(tx, late, "late"))
    [row] = clinic.deliveries(jan)
    assert ("PENDING", other["fence"], 1) == (row["state"], row["fence"], row["attempts"])
    mail.start()
    assert 1 == clinic.send_now()


def test_what_is_settled_is_forgotten_after_a_quarter(clinic: Clinic, mail: MailServer) -> None:
    """Nobody redelivers or redrives it any more; what is on its way stays."""
    kim, lou = clinic.person("kim@example.com"), clinic.person("lou@example.com")
    clinic.happens(PasswordChanged(person_id=kim))
    mail.replies["*"] = "451 4.3.0 busy"
    clinic.happens(PasswordChanged(person_id=lou))
    clinic.db.all(
        "update deliveries set created_at = now() - interval '91 days',"
        " settled_at = case when state = 'SENT' then now() - interval '91 days' end"
        " where person_id in (:kim, :lou)",
        kim=kim,
        lou=lou,
    )
    assert 1 == clinic.db.transaction(deliveries.purge)
    assert ([], ["PENDING"]) == (clinic.states(kim), clinic.states(lou))
    mail.replies.clear()
    assert 1 == clinic.send_now()


def test_a_redrive_of_what_is_on_its_way_changes_nothing(
    clinic: Clinic, mail: MailServer, admin: str
) -> None:
    """An operator may redrive a letter whose mail was sent or is gone: nothing is sent twice."""
    mo = clinic.person("mo@example.com")
    mail.replies["mo@example.org"] = "550 5.1.1 gone"
    clinic.happens(EmailUpdated(person_id=mo, email="mo@example.com", previous="mo@example.org"))
    assert ["SENT", "DEAD"] == clinic.states(mo)
    letters = _letters(clinic, admin)
    clinic.db.all("delete from deliveries where person_id = :p and state = 'DEAD'", p=mo)
    mail.replies.clear()
    assert ["handled"] == [_redrive(clinic, admin, letter) for letter in letters]
    assert 0 == clinic.send_now()
    assert [] == mail.to("mo@example.org")


def _rows(clinic: Clinic, person: UUID) -> dict[str, int]:
    return {
        table: clinic.db.all(
            f"select count(*) as n from {table} where {column} = :person", person=person
        )[0]["n"]
        for table, column in (
            ("notifications", "person_id"),
            ("deliveries", "person_id"),
            ("preferences", "person_id"),
            ("inboxes", "person_id"),
            ("subject_keys", "subject"),
        )
    }


def test_nothing_is_sent_to_who_was_erased(clinic: Clinic, mail: MailServer, admin: str) -> None:
    """An erasure takes mails that wait, that are given up and that somebody is about to send."""
    nia = clinic.person("nia@example.com")
    mail.replies["nia@example.org"] = "550 5.1.1 gone"
    mail.replies["nia@example.com"] = "451 4.3.0 busy"
    event = EmailUpdated(person_id=nia, email="nia@example.com", previous="nia@example.org")
    clinic.happens(event)
    assert ["PENDING", "DEAD"] == clinic.states(nia)
    assert 1 == len(_letters(clinic, admin))
    clinic.db.all(
        "update deliveries set due_at = clock_timestamp() where person_id = :p"
        " and state = 'PENDING'",
        p=nia,
    )
    about_to = deliveries.claim(clinic.db)
    assert about_to is not None
    response = clinic.call("POST", "/api/auth/erasures", {"patient_id": str(nia)}, token=admin)
    assert 202 == response.status_code, response.text
    clinic.drain()

    assert {0} == set(_rows(clinic, nia).values())
    assert [] == _letters(clinic, admin)
    assert deliveries.confirm(clinic.db, about_to) is None
    mail.replies.clear()
    clinic.happens(event)
    assert {0} == set(_rows(clinic, nia).values())
    assert 0 == clinic.send_now()
    assert [] == [sent for sent in mail.mails if "nia@" in sent.to]
