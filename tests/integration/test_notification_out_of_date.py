"""What a patient is told of appointments is told once, and only while it holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.appointment import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentConfirmed,
    AppointmentMissed,
    AppointmentReminderDue,
    AppointmentRescheduled,
    WaitlistOfferExpired,
    WaitlistSlotOffered,
)
from shared.messages import Event
from shared.testing import frozen
from shared.types import uuid7
from tests.integration.visit_stack import (
    CLINIC,
    LINK,
    SUMMER,
    WINTER,
    arranged,
    invitation,
    known_clinic_fixture,
    subjects,
)
from tests.mail_server import MailServer
from tests.notification_stack import Clinic

clinic = known_clinic_fixture()


@pytest.mark.parametrize(
    ("end", "more"),
    [
        (AppointmentCancelled, {"cancelled_by": "PATIENT"}),
        (AppointmentRescheduled, {"previous_starts_at": SUMMER}),
        (AppointmentMissed, {}),
    ],
)
def test_what_is_out_of_date_is_not_told(
    clinic: Clinic, mail: MailServer, end: type[Event], more: dict[str, Any]
) -> None:
    """A confirmation or a reminder that arrives behind what ended it misleads nobody."""
    email = f"l{uuid4().hex[:8]}@example.com"
    person = clinic.person(email)
    visit = arranged(person)
    clinic.happens(end(**visit, **more), version=5)
    told = clinic.channels(person)
    clinic.happens(AppointmentReminderDue(**visit, hours_before=2, link=LINK), version=4)
    clinic.happens(AppointmentConfirmed(**visit), version=2)
    clinic.happens(AppointmentBooked(**visit, status="PENDING"), version=1)
    assert told == clinic.channels(person)
    assert len(told) // 2 == len(mail.to(email))


def test_what_happened_before_a_reminder_is_still_told(clinic: Clinic, mail: MailServer) -> None:
    """A reminder puts nothing out of date: a confirmation that it overtook is told."""
    dan = clinic.person("dan@example.com")
    visit = arranged(dan)
    clinic.happens(AppointmentReminderDue(**visit, hours_before=2, link=LINK), version=3)
    clinic.happens(AppointmentConfirmed(**visit), version=2)
    assert 2 == len(mail.to("dan@example.com"))


def _history(patient: UUID) -> list[Event]:
    """An appointment's messages, the first with version 1, the next with 2 and so on."""
    visit = arranged(patient)
    moved = visit | {"starts_at": SUMMER, "ends_at": SUMMER}
    return [
        AppointmentBooked(**visit, status="PENDING"),
        AppointmentConfirmed(**visit),
        AppointmentReminderDue(**visit, hours_before=48, link=LINK),
        AppointmentRescheduled(**moved, previous_starts_at=WINTER),
        AppointmentReminderDue(**moved, hours_before=48, link=LINK),
        AppointmentReminderDue(**moved, hours_before=2, link=LINK),
    ]


@given(order=st.lists(st.integers(1, 6), min_size=1, max_size=8), ended=st.booleans())
@settings(max_examples=12, deadline=None)
def test_whatever_the_order_only_what_holds_leaves(
    clinic: Clinic, server: MailServer, order: list[int], ended: bool
) -> None:
    """Messages that are lost, doubled and in any order: what leaves in the end is what nothing that
    arrived has put out of date, each once."""
    email = f"h{uuid4().hex[:8]}@example.com"
    person = clinic.person(email)
    history, identities = _history(person), [uuid7() for _ in range(6)]
    server.stop()
    for version in order:
        event, identity = history[version - 1], identities[version - 1]
        clinic.happens(event, version=version, event_id=identity)
    if ended:
        more = history[0].model_dump(exclude={"status"})
        clinic.happens(AppointmentCancelled(**more, cancelled_by="CLINIC"), version=7)
    server.start()
    clinic.send_now()
    newest = 7 if ended else max([version for version in order if version in {2, 4}], default=0)
    holding = {version for version in order if version >= newest} | ({7} if ended else set())
    assert len(holding) == len(server.to(email))


def _reasons(clinic: Clinic, person: UUID) -> list[tuple[str, str, str | None]]:
    return [(row["kind"], row["state"], row["reason"]) for row in clinic.deliveries(person)]


def test_mails_that_waited_are_looked_at_again(clinic: Clinic, mail: MailServer) -> None:
    """Of all that waited for the provider only what still holds leaves."""
    eva = clinic.person("eva@example.com")
    visit = arranged(eva)
    moved = visit | {"starts_at": SUMMER}
    mail.stop()
    clinic.happens(AppointmentConfirmed(**visit, invite=invitation("REQUEST")), version=1)
    clinic.happens(AppointmentReminderDue(**visit, hours_before=48, link=LINK), version=2)
    clinic.happens(AppointmentRescheduled(**moved, previous_starts_at=WINTER), version=3)
    clinic.happens(AppointmentCancelled(**moved, cancelled_by="PATIENT"), version=4)
    mail.start()
    assert 1 == clinic.send_now()
    assert ["Your appointment has been cancelled"] == subjects(mail, "eva@example.com")
    assert [
        ("APPOINTMENT_CONFIRMED", "SKIPPED", "out of date"),
        ("APPOINTMENT_REMINDER", "SKIPPED", "out of date"),
        ("APPOINTMENT_RESCHEDULED", "SKIPPED", "out of date"),
        ("APPOINTMENT_CANCELLED", "SENT", None),
    ] == _reasons(clinic, eva)


def test_an_event_comes_twice(clinic: Clinic, mail: MailServer) -> None:
    """The same event again, even when the kit's inbox has forgotten it, is told once."""
    flo = clinic.person("flo@example.com")
    event = AppointmentConfirmed(**arranged(flo))
    identity = clinic.happens(event, version=1)
    clinic.happens(event, version=1, event_id=identity)
    clinic.db.all("delete from inbox where event_id = :id", id=identity)
    clinic.happens(event, version=1, event_id=identity)
    assert 1 == len(mail.to("flo@example.com"))
    assert 2 == len(clinic.channels(flo))


def _offer(patient: UUID, starts_at: datetime, expires_at: datetime) -> WaitlistSlotOffered:
    return WaitlistSlotOffered(
        offer_id=uuid4(),
        wish_id=uuid4(),
        patient_id=patient,
        clinic_id=CLINIC,
        practitioner_id=uuid4(),
        type_id=uuid4(),
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=30),
        time_zone="Europe/Bucharest",
        expires_at=expires_at,
        link=LINK,
    )


def test_an_offer_is_told_while_it_can_be_taken(clinic: Clinic, mail: MailServer) -> None:
    """With its link and its end; not when the end has passed, or somebody else has the slot."""
    gil = clinic.person("gil@example.com")
    with frozen(WINTER - timedelta(days=1)) as clock:
        until = clock.now() + timedelta(minutes=30)
        offer = _offer(gil, WINTER, until)
        clinic.happens(offer, version=1)
        [sent] = mail.to("gil@example.com")
        assert "It is held for you until Sunday, 4 January 2037 at 10:30." in sent.part("plain")
        assert LINK in sent.part("plain").splitlines()

        mail.stop()
        clinic.happens(_offer(gil, WINTER, until), version=1)
        expired = _offer(gil, WINTER, until)
        clinic.happens(expired, version=1)
        over = WaitlistOfferExpired(
            offer_id=expired.offer_id, wish_id=expired.wish_id, patient_id=gil
        )
        clinic.happens(over, version=2)
        mail.start()
        clock.advance(timedelta(minutes=29))
        assert 1 == clinic.send_now()

        mail.stop()
        clinic.happens(_offer(gil, WINTER, until), version=1)
        mail.start()
        clock.advance(timedelta(minutes=2))
        assert 0 == clinic.send_now()
        clinic.happens(_offer(gil, WINTER, until), version=1)
    assert ["SENT", "SENT", "SKIPPED", "SKIPPED"] == clinic.states(gil)


def test_nobody_is_reminded_of_the_past(clinic: Clinic, mail: MailServer) -> None:
    """A reminder that comes when the appointment has begun is not told."""
    hal = clinic.person("hal@example.com")
    past = arranged(hal, datetime(2020, 1, 1, tzinfo=UTC))
    clinic.happens(AppointmentReminderDue(**past, hours_before=2, link=LINK), version=2)
    assert [] == clinic.channels(hal)
