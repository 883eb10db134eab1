"""E-mails that are given up: each is a dead letter, which a redrive sends and an erasure takes."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.notification.main import service
from functions.notification.store import deliveries
from shared.contracts.auth import EmailUpdated, PasswordChanged
from shared.contracts.gdpr import GdprDataDeletion
from shared.contracts.notification import SendInvitation
from shared.db import Tx
from shared.inbox import receive
from shared.messages import envelope
from tests.mail_server import MailServer
from tests.notification_stack import Clinic, clinic_fixture

LINK = "https://clinic.example/invitation#a.b-c_d"
LETTERS = "/api/notifications/-/dead-letters"

clinic = clinic_fixture()


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


def test_an_erasure_waits_for_a_mail_that_is_being_marked(
    clinic: Clinic, mail: MailServer, admin: str
) -> None:
    """Whoever marks a mail as sent touches the person's row: the erasure takes that, too."""
    ola = clinic.person("ola@example.com")
    mail.replies["ola@example.com"] = "451 4.3.0 busy"
    clinic.happens(PasswordChanged(person_id=ola))
    clinic.db.all("update deliveries set due_at = clock_timestamp() where person_id = :p", p=ola)
    row = deliveries.claim(clinic.db)
    assert row is not None
    event = GdprDataDeletion(
        erasure_id=uuid4(),
        patient_id=ola,
        reason="CONSENT_WITHDRAWN",
        requested_at=datetime.now(UTC),
    )
    env = envelope(event, source="auth")
    threads = []

    def erase() -> None:
        outcomes.append(receive(clinic.db, service.on, env, replied=lambda *_: None))
        clinic.db.close()

    def mark(tx: Tx) -> int | None:
        sent = deliveries.sent(tx, row)
        threads.append(threading.Thread(target=erase))
        threads[-1].start()
        # pg_locks is read anew by each statement; pg_stat_activity once in a transaction.
        while not tx.value("select count(*) from pg_locks where not granted"):
            time.sleep(0.01)
        return sent

    outcomes: list[str] = []
    assert clinic.db.transaction(mark, isolation="READ COMMITTED") is not None
    threads[0].join()
    assert ["handled"] == outcomes
    assert {0} == set(_rows(clinic, ola).values())
