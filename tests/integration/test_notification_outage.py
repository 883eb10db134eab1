"""E-mails when something is away: tried again later and later, never lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from functions.notification.service import sending, smtp
from functions.notification.store import deliveries
from shared import faults
from shared.contracts.auth import PasswordChanged
from tests.mail_server import MailServer
from tests.notification_stack import Clinic, clinic_fixture

clinic = clinic_fixture()


def _now(clinic: Clinic) -> datetime:
    """The present, by the clock that says when a mail is due."""
    found: datetime = clinic.db.all("select clock_timestamp() as now")[0]["now"]
    return found


def test_a_provider_that_is_down_is_asked_later_and_later(clinic: Clinic, mail: MailServer) -> None:
    """Each failed try doubles the wait; when the provider is back, the mail leaves once."""
    ana = clinic.person("ana@example.com")
    mail.stop()
    before = _now(clinic)
    clinic.happens(PasswordChanged(person_id=ana))
    for attempts in range(1, 5):
        [row] = clinic.deliveries(ana)
        longest = timedelta(seconds=2 ** (attempts - 1))
        assert ("PENDING", attempts, "ConnectionRefusedError") == (
            row["state"],
            row["attempts"],
            row["reason"],
        )
        assert longest / 2 <= row["due_at"] - before
        assert row["wait"] <= longest
        before = _now(clinic)
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


def test_while_auth_is_away_mail_waits(clinic: Clinic, mail: MailServer) -> None:
    """Nobody knows the address then: the mail waits, and it is not the provider's failure."""
    gil = clinic.person("gil@example.com")
    clinic.away.add("auth")
    clinic.happens(PasswordChanged(person_id=gil))
    before = _now(clinic)
    clinic.send_now()
    [row] = clinic.deliveries(gil)
    assert ("PENDING", 0) == (row["state"], row["attempts"])
    assert timedelta(seconds=5) <= row["due_at"] - before
    clinic.away.clear()
    assert 1 == clinic.send_now()


def test_a_provider_that_does_not_answer(
    clinic: Clinic, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken or not, nobody knows: the mail is sent again under the same Message-ID."""
    hal = clinic.person("hal@example.com")
    mail.silent = True
    with monkeypatch.context() as patch:
        patch.setattr(smtp, "TIMEOUT_S", 1.0)
        clinic.happens(PasswordChanged(person_id=hal))
        while not mail.to("hal@example.com"):  # it was too slow to take a whole mail
            assert 0 == clinic.send_now()
    assert ["PENDING"] == clinic.states(hal)
    taken = len(mail.to("hal@example.com"))
    mail.silent = False
    assert 1 == clinic.send_now()
    copies = mail.to("hal@example.com")
    assert taken + 1 == len(copies)
    assert 1 == len({copy.message["Message-ID"] for copy in copies})
    assert [("PASSWORD_CHANGED", "EMAIL"), ("PASSWORD_CHANGED", "IN_APP")] == clinic.channels(hal)


def test_a_sender_that_dies_after_the_provider_took_it(
    clinic: Clinic, mail: MailServer, tmp_path: Path
) -> None:
    """The mail leaves again when the lease has ended, the same on the outside; told once."""
    ida = clinic.person("ida@example.com")
    (tmp_path / "mail.accepted").write_text("error")
    before = _now(clinic)
    with faults.installed(tmp_path):
        clinic.happens(PasswordChanged(person_id=ida))
    [row] = clinic.deliveries(ida)
    assert "PENDING" == row["state"]
    assert row["wait"] <= timedelta(seconds=60) <= row["due_at"] - before
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


def test_a_mail_that_cannot_be_made_does_not_hold_up_the_others(
    clinic: Clinic, mail: MailServer
) -> None:
    """A fault of ours is counted like the provider's, so that it ends, and the next one leaves."""
    mia, ned = clinic.person("mia@example.com"), clinic.person("ned@example.com")
    mail.stop()
    for person in (mia, ned):
        clinic.happens(PasswordChanged(person_id=person))
    # What an older version of the service may have left.
    clinic.db.all("update deliveries set kind = 'GONE', attempts = 3 where person_id = :p", p=mia)
    mail.start()
    assert 1 == clinic.send_now()
    assert ["SENT"] == clinic.states(ned)
    assert [("PENDING", 4, "KeyError")] == [
        (row["state"], row["attempts"], row["reason"]) for row in clinic.deliveries(mia)
    ]
    clinic.db.all("delete from deliveries where person_id = :p", p=mia)
