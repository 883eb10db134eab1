"""E-mails: who is written to, what rests of it here, and that each leaves once."""

from __future__ import annotations

import threading
from email.utils import parsedate_to_datetime
from uuid import UUID

import pytest

from functions.notification.store import deliveries
from shared import client
from shared.contracts.auth import EmailUpdated, PasswordChanged, UserActivated
from shared.contracts.notification import SendInvitation, SendWelcome
from tests.mail_server import MailServer
from tests.notification_stack import Clinic, clinic_fixture

LINK = "https://clinic.example/invitation#a.b-c_d"

clinic = clinic_fixture()


def test_a_changed_password_is_told_twice(clinic: Clinic, mail: MailServer) -> None:
    """One notification in the app, one e-mail to the person's address, and others hear of both."""
    ana = clinic.person("ana@example.com", language="ro")
    clinic.happens(PasswordChanged(person_id=ana))
    [sent] = mail.to("ana@example.com")
    assert "no-reply@dentalhelp.example" == sent.sender
    assert "Parola dumneavoastră a fost schimbată" == sent.message["Subject"]
    assert "sesiuni au fost închise" in sent.part("plain")
    assert "sesiuni au fost închise" in sent.part("html")
    assert ["SENT"] == clinic.states(ana)
    assert [("PASSWORD_CHANGED", "EMAIL"), ("PASSWORD_CHANGED", "IN_APP")] == clinic.channels(ana)
    assert [1, 2] == [
        env.metadata.aggregate_version - clinic.told[0].metadata.aggregate_version + 1  # type: ignore[operator]
        for env in clinic.told
    ]


def test_the_mail_says_what_it_is(clinic: Clinic, mail: MailServer) -> None:
    """Headers a program goes by: who from, who to, when, which one, that no person wrote it."""
    dan = clinic.person("dan@example.com")
    clinic.happens(PasswordChanged(person_id=dan))
    message = mail.to("dan@example.com")[0].message
    [row] = clinic.deliveries(dan)
    assert "DentalHelp <no-reply@dentalhelp.example>" == message["From"]
    assert "dan@example.com" == message["To"]
    assert f"<{row['id']}@dentalhelp.example>" == message["Message-ID"]
    assert "auto-generated" == message["Auto-Submitted"]
    assert "en" == message["Content-Language"]
    assert parsedate_to_datetime(message["Date"]).tzinfo is not None
    assert "multipart/alternative" == message.get_content_type()
    assert ["text/plain", "text/html"] == [p.get_content_type() for p in message.iter_parts()]
    assert max(map(len, message.as_bytes().splitlines())) <= 998  # RFC 5322, 2.1.1


def test_a_changed_address_is_told_to_both(clinic: Clinic, mail: MailServer) -> None:
    """The old address is warned, too; it rests sealed, and only until the mail has left."""
    eva = clinic.person("eva@example.com")
    mail.stop()
    clinic.happens(EmailUpdated(person_id=eva, email="eva@example.com", previous="old@example.org"))
    waiting = clinic.deliveries(eva)
    assert ["CURRENT", "PREVIOUS"] == [row["recipient"] for row in waiting]
    assert [None, True] == [row["address"] and len(row["address"]) > 30 for row in waiting]
    assert all("old@example.org" not in str(row) for row in waiting)
    mail.start()
    assert 2 == clinic.send_now()
    assert [1, 1] == [len(mail.to(to)) for to in ("eva@example.com", "old@example.org")]
    assert [None, None] == [row["address"] for row in clinic.deliveries(eva)]


def test_an_event_is_told_once_however_often_it_arrives(clinic: Clinic, mail: MailServer) -> None:
    """Repeated, and even after the kit's inbox has forgotten it, an event changes nothing."""
    joe = clinic.person("joe@example.com")
    event = EmailUpdated(person_id=joe, email="joe@example.com", previous="joe@example.org")
    identity = clinic.happens(event)
    clinic.happens(event, event_id=identity)
    clinic.db.all("delete from inbox where event_id = :id", id=identity)
    clinic.happens(event, event_id=identity)
    assert 0 == clinic.send_now()
    assert [1, 1] == [len(mail.to(to)) for to in ("joe@example.com", "joe@example.org")]
    assert 1 == clinic.inbox(clinic.token("joe@example.com"))["unread"]
    assert 3 == len(clinic.channels(joe))


def test_the_invitation_is_kept_sealed_until_it_has_left(clinic: Clinic, mail: MailServer) -> None:
    """The link is a key to the account: sealed while it waits, gone when it is sent."""
    kim = clinic.person("kim@example.com", language="id")
    mail.stop()
    clinic.commanded(SendInvitation(person_id=kim, language="id", link=LINK))
    [row] = clinic.deliveries(kim)
    assert LINK not in str(row)
    assert LINK.encode() not in row["link"]
    mail.start()
    assert 1 == clinic.send_now()
    [sent] = mail.to("kim@example.com")
    assert "Undangan Anda ke DentalHelp" == sent.message["Subject"]
    assert LINK in sent.part("plain").splitlines()
    assert f'href="{LINK}"' in sent.part("html")
    assert clinic.deliveries(kim)[0]["link"] is None
    # Whoever is invited has no inbox to read yet.
    assert [("INVITATION", "EMAIL")] == clinic.channels(kim)


def test_a_welcome_is_written_once(clinic: Clinic, mail: MailServer) -> None:
    """Whoever wants it: the activation, the saga behind it, and a saga that repeats itself."""
    lea = clinic.person("lea@example.com")
    clinic.happens(UserActivated(person_id=lea))
    saga = clinic.commanded(SendWelcome(person_id=lea))
    clinic.commanded(SendWelcome(person_id=lea), saga)
    assert ["Welcome to DentalHelp"] == [
        sent.message["Subject"] for sent in mail.to("lea@example.com")
    ]


def test_a_saga_that_repeats_itself_means_one_mail(clinic: Clinic, mail: MailServer) -> None:
    """A command that is sent anew under another id is the same wish of the same saga."""
    lia = clinic.person("lia@example.com")
    saga = clinic.commanded(SendInvitation(person_id=lia, link=LINK))
    clinic.commanded(SendInvitation(person_id=lia, link=LINK), saga)
    assert 1 == len(mail.to("lia@example.com"))
    clinic.commanded(SendInvitation(person_id=lia, link=LINK))
    assert 2 == len(mail.to("lia@example.com"))


def test_a_saga_hears_that_the_mail_is_ordered(clinic: Clinic, mail: MailServer) -> None:
    """The answer does not wait for the provider: sending goes on by itself."""
    max_ = clinic.person("max@example.com")
    mail.stop()
    saga = clinic.commanded(SendWelcome(person_id=max_))
    answers = [env.payload for env in clinic.told if env.event_type == "SAGA_REPLIED"]
    mail.start()
    assert [str(saga)] == [answer["saga_id"] for answer in answers]
    assert ["PENDING"] == clinic.states(max_)
    assert 1 == clinic.send_now()


def test_nobody_is_written_to_without_an_address(clinic: Clinic, mail: MailServer) -> None:
    """A person without an e-mail address is skipped, once and for all."""
    mia = clinic.person("mia@example.com")
    clinic.databases["auth"].all("update users set email = null where id = :id", id=mia)
    clinic.happens(PasswordChanged(person_id=mia))
    assert [("SKIPPED", "no address")] == [
        (row["state"], row["reason"]) for row in clinic.deliveries(mia)
    ]
    assert 0 == clinic.send_now()
    assert [] == mail.mails
    assert [("PASSWORD_CHANGED", "IN_APP")] == clinic.channels(mia)


def test_who_has_no_account_may_have_one_later(
    clinic: Clinic, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """404 may come from an auth that lacks the route, too: the mail waits, and is not lost."""
    moe = clinic.person("moe@example.com")
    with monkeypatch.context() as patch:
        patch.setattr(client, "_transport", lambda *_: (404, {}, b"{}"))
        clinic.happens(PasswordChanged(person_id=moe))
    assert [("PENDING", 1, "no account")] == [
        (row["state"], row["attempts"], row["reason"]) for row in clinic.deliveries(moe)
    ]
    assert 1 == clinic.send_now()
    assert 1 == len(mail.to("moe@example.com"))


def test_the_address_is_the_one_when_the_mail_leaves(clinic: Clinic, mail: MailServer) -> None:
    """Nothing is replicated: a mail that waited goes where the person is read now."""
    ned = clinic.person("ned@example.com")
    mail.stop()
    clinic.happens(PasswordChanged(person_id=ned))
    clinic.databases["auth"].all(
        "update users set email = 'ned@example.net' where id = :id", id=ned
    )
    mail.start()
    assert 1 == clinic.send_now()
    assert ["ned@example.net"] == [sent.to for sent in mail.mails]


def test_a_welcome_that_is_not_wanted(clinic: Clinic, mail: MailServer) -> None:
    """What a person has switched off is neither shown nor sent; warnings are."""
    ole = clinic.person("ole@example.com")
    clinic.db.all(
        "insert into preferences values (:id, 1, '{WELCOME.EMAIL,WELCOME.IN_APP}')", id=ole
    )
    clinic.happens(UserActivated(person_id=ole))
    clinic.commanded(SendWelcome(person_id=ole))
    assert [] == clinic.deliveries(ole)
    assert [] == clinic.channels(ole)
    clinic.happens(PasswordChanged(person_id=ole))
    assert 2 == len(clinic.channels(ole))
    assert 1 == len(mail.to("ole@example.com"))


def test_many_senders_claim_each_mail_once(clinic: Clinic, mail: MailServer) -> None:
    """Eight threads at forty mails: every mail is claimed by exactly one of them."""
    pia = clinic.person("pia@example.com")
    mail.stop()
    for _ in range(40):
        clinic.happens(PasswordChanged(person_id=pia))
    clinic.db.all("update deliveries set due_at = clock_timestamp() where person_id = :p", p=pia)
    claimed: list[UUID] = []
    together = threading.Barrier(8)

    def sender() -> None:
        together.wait()
        while (row := deliveries.claim(clinic.db)) is not None:
            claimed.append(row["id"])
        clinic.db.close()

    threads = [threading.Thread(target=sender) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mail.start()
    assert sorted(row["id"] for row in clinic.deliveries(pia)) == sorted(claimed)
    assert 40 == sum(iter(clinic.send_now, 0))
    assert 40 == len({sent.message["Message-ID"] for sent in mail.to("pia@example.com")})
