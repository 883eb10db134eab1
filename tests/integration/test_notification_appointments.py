"""What a patient is told of appointments: once, in words, and only while it holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from functions.notification.main import service
from shared.contracts.appointment import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentConfirmed,
    AppointmentMissed,
    AppointmentReminderDue,
    AppointmentRequestDeclined,
    AppointmentRescheduled,
    WaitlistOfferExpired,
    WaitlistSlotOffered,
)
from shared.contracts.auth import ClinicUpdated
from shared.contracts.treatment import PrescriptionIssued, TreatmentAccepted, TreatmentPlanned
from shared.messages import Event
from shared.runtime import vault
from shared.testing import frozen
from shared.types import uuid7
from tests.mail_server import MailServer
from tests.notification_stack import Clinic

CLINIC = uuid4()
LINK = "https://clinic.example/answer#a.b-c_d"
# A winter's day and a summer's: the wall in Bucharest is two hours ahead, then three.
WINTER = datetime(2037, 1, 5, 8, 0, tzinfo=UTC)
SUMMER = datetime(2037, 7, 6, 8, 0, tzinfo=UTC)
INVITE = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//DentalHelp//EN\r
METHOD:{method}\r
BEGIN:VEVENT\r
UID:1@clinic.example\r
DTSTAMP:20260101T000000Z\r
DTSTART:20370105T080000Z\r
SUMMARY:Programare la clinica Mărășești – a line that is so long that it has\r
  to be folded\r
SEQUENCE:{sequence}\r
END:VEVENT\r
END:VCALENDAR\r
"""


@pytest.fixture(scope="module")
def clinic(service_db: Callable[[str], str], server: MailServer) -> Clinic:
    """The platform, which knows one clinic."""
    made = Clinic(service_db, server)
    known = ClinicUpdated(
        clinic_id=CLINIC, name="Centru & Co", time_zone="Europe/Bucharest", languages=["ro"]
    )
    made.happens(known, version=1)
    return made


def _invite(method: str, sequence: int = 0) -> str:
    return INVITE.format(method=method, sequence=sequence)


def _visit(patient: UUID, starts_at: datetime = WINTER, **more: Any) -> dict[str, Any]:
    return {
        "appointment_id": uuid4(),
        "patient_id": patient,
        "clinic_id": CLINIC,
        "practitioner_id": uuid4(),
        "type_id": uuid4(),
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(minutes=30),
        "time_zone": "Europe/Bucharest",
        **more,
    }


def _subjects(mail: MailServer, to: str) -> list[str]:
    return [str(sent.message["Subject"]) for sent in mail.to(to)]


def _reasons(clinic: Clinic, person: UUID) -> list[tuple[str, str, str | None]]:
    return [(row["kind"], row["state"], row["reason"]) for row in clinic.deliveries(person)]


def test_a_booking_is_told_once(clinic: Clinic, mail: MailServer) -> None:
    """Booked and confirmed at once is one e-mail and one notification: time, place, invitation."""
    ana = clinic.person("ana@example.com", language="ro")
    visit = _visit(ana)
    clinic.happens(AppointmentBooked(**visit, status="CONFIRMED"), version=1)
    clinic.happens(AppointmentConfirmed(**visit, invite=_invite("REQUEST")), version=1)
    [sent] = mail.to("ana@example.com")
    assert "Programarea dumneavoastră este confirmată" == sent.message["Subject"]
    when = "luni, 5 ianuarie 2037 la 10:00 – Centru & Co"
    assert when in sent.part("plain").splitlines()
    assert "luni, 5 ianuarie 2037 la 10:00 – Centru &amp; Co" in sent.part("html")
    [item] = clinic.inbox(clinic.token("ana@example.com"))["items"]
    assert ("APPOINTMENT_CONFIRMED", str(visit["appointment_id"])) == (item["kind"], item["about"])
    assert item["text"].endswith("luni, 5 ianuarie 2037 la 10:00, Centru & Co.")


@pytest.mark.parametrize(
    ("moment", "language", "words"),
    [
        ((WINTER, "Europe/Bucharest"), "en", "Monday, 5 January 2037 at 10:00"),
        ((SUMMER, "Europe/Bucharest"), "en", "Monday, 6 July 2037 at 11:00"),
        ((SUMMER, "Asia/Jakarta"), "id", "Senin, 06 Juli 2037 pukul 15.00"),
        ((SUMMER, "Asia/Jayapura"), "ro", "luni, 6 iulie 2037 la 17:00"),
    ],
)
def test_the_time_is_the_clinic_s(
    clinic: Clinic, mail: MailServer, moment: tuple[datetime, str], language: str, words: str
) -> None:
    """What stands on the clinic's wall then, in the words of whoever reads it."""
    email = f"t{uuid4().hex[:8]}@example.com"
    person = clinic.person(email, language=language)
    visit = _visit(person, moment[0], time_zone=moment[1])
    clinic.happens(AppointmentConfirmed(**visit), version=1)
    assert words in mail.to(email)[0].part("plain")
    [item] = clinic.inbox(clinic.token(email))["items"]
    assert words in item["text"]
    assert words not in item["title"] + str(mail.to(email)[0].message["Subject"])


@pytest.mark.parametrize(("method", "sequence"), [("REQUEST", 0), ("CANCEL", 1)])
def test_the_invitation_is_one_for_calendars(
    clinic: Clinic, mail: MailServer, method: str, sequence: int
) -> None:
    """Attached as RFC 6047 wants it, and exactly what appointment has written."""
    email = f"i{uuid4().hex[:8]}@example.com"
    visit, invite = _visit(clinic.person(email)), _invite(method, sequence)
    event = (
        AppointmentConfirmed(**visit, invite=invite)
        if method == "REQUEST"
        else AppointmentCancelled(**visit, cancelled_by="CLINIC", invite=invite)
    )
    clinic.happens(event, version=2)
    message = mail.to(email)[0].message
    assert "multipart/mixed" == message.get_content_type()
    [part] = message.iter_attachments()
    assert "text/calendar" == part.get_content_type()
    assert ("utf-8", method) == (
        part.get_param("charset"),
        part.get_param("method"),
    )
    assert "invite.ics" == part.get_filename()
    raw = part.get_payload(decode=True)
    assert invite.encode() == raw
    parsed = Calendar.from_ical(raw)
    assert method == parsed["METHOD"]
    assert sequence == parsed.walk("VEVENT")[0]["SEQUENCE"]
    assert "Mărășești" in str(parsed.walk("VEVENT")[0]["SUMMARY"])


def test_without_an_invitation_nothing_is_attached(clinic: Clinic, mail: MailServer) -> None:
    """The mail is as plain as any other."""
    clinic.happens(AppointmentConfirmed(**_visit(clinic.person("bob@example.com"))), version=1)
    message = mail.to("bob@example.com")[0].message
    assert "multipart/alternative" == message.get_content_type()


def test_a_whole_appointment(clinic: Clinic, mail: MailServer) -> None:
    """Each thing that happens to it is told, by mail and in the app, with what matters in it."""
    cleo = clinic.person("cleo@example.com")
    visit = _visit(cleo)
    moved = visit | {"starts_at": SUMMER, "ends_at": SUMMER}
    clinic.happens(AppointmentBooked(**visit, status="PENDING"), version=1)
    clinic.happens(AppointmentConfirmed(**visit), version=2)
    clinic.happens(AppointmentRescheduled(**moved, previous_starts_at=WINTER), version=3)
    clinic.happens(AppointmentReminderDue(**moved, hours_before=48, link=LINK), version=3)
    clinic.happens(AppointmentCancelled(**moved, cancelled_by="CLINIC"), version=4)
    sent = mail.to("cleo@example.com")
    assert [
        "Your appointment is being held for you",
        "Your appointment is confirmed",
        "Your appointment has changed",
        "A reminder of your appointment",
        "Your appointment has been cancelled",
    ] == [one.message["Subject"] for one in sent]
    changed, reminder, cancelled = (one.part("plain") for one in sent[2:])
    assert "Monday, 6 July 2037 at 11:00 – Centru & Co" in changed
    assert "It was planned for Monday, 5 January 2037 at 10:00." in changed
    assert LINK in reminder.splitlines()
    assert f'href="{LINK}"' in sent[3].part("html")
    assert "the clinic had to cancel it" in cancelled
    items = clinic.inbox(clinic.token("cleo@example.com"))["items"]
    assert [
        *("APPOINTMENT_CANCELLED", "APPOINTMENT_REMINDER", "APPOINTMENT_RESCHEDULED"),
        *("APPOINTMENT_CONFIRMED", "APPOINTMENT_BOOKED"),
    ] == [item["kind"] for item in items]
    assert LINK not in str(items)


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
    visit = _visit(person)
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
    visit = _visit(dan)
    clinic.happens(AppointmentReminderDue(**visit, hours_before=2, link=LINK), version=3)
    clinic.happens(AppointmentConfirmed(**visit), version=2)
    assert 2 == len(mail.to("dan@example.com"))


def _history(patient: UUID) -> list[Event]:
    """An appointment's messages, the first with version 1, the next with 2 and so on."""
    visit = _visit(patient)
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


def test_mails_that_waited_are_looked_at_again(clinic: Clinic, mail: MailServer) -> None:
    """Of all that waited for the provider only what still holds leaves."""
    eva = clinic.person("eva@example.com")
    visit = _visit(eva)
    moved = visit | {"starts_at": SUMMER}
    mail.stop()
    clinic.happens(AppointmentConfirmed(**visit, invite=_invite("REQUEST")), version=1)
    clinic.happens(AppointmentReminderDue(**visit, hours_before=48, link=LINK), version=2)
    clinic.happens(AppointmentRescheduled(**moved, previous_starts_at=WINTER), version=3)
    clinic.happens(AppointmentCancelled(**moved, cancelled_by="PATIENT"), version=4)
    mail.start()
    assert 1 == clinic.send_now()
    assert ["Your appointment has been cancelled"] == _subjects(mail, "eva@example.com")
    assert [
        ("APPOINTMENT_CONFIRMED", "SKIPPED", "out of date"),
        ("APPOINTMENT_REMINDER", "SKIPPED", "out of date"),
        ("APPOINTMENT_RESCHEDULED", "SKIPPED", "out of date"),
        ("APPOINTMENT_CANCELLED", "SENT", None),
    ] == _reasons(clinic, eva)


def test_an_event_comes_twice(clinic: Clinic, mail: MailServer) -> None:
    """The same event again, even when the kit's inbox has forgotten it, is told once."""
    flo = clinic.person("flo@example.com")
    event = AppointmentConfirmed(**_visit(flo))
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
    past = _visit(hal, datetime(2020, 1, 1, tzinfo=UTC))
    clinic.happens(AppointmentReminderDue(**past, hours_before=2, link=LINK), version=2)
    assert [] == clinic.channels(hal)


def test_facts_rest_sealed(clinic: Clinic, mail: MailServer) -> None:
    """When, where and the link are sealed while a mail waits, exported without the link, and gone
    from the mail's row when it has left."""
    ian = clinic.person("ian@example.com")
    mail.stop()
    clinic.happens(AppointmentReminderDue(**_visit(ian), hours_before=2, link=LINK), version=1)
    [row] = clinic.deliveries(ian)
    assert None not in (row["facts"], row["link"])
    [shown] = clinic.db.all("select * from notifications where person_id = :p", p=ian)
    plain = "".join(map(_readable, (*row.values(), *shown.values())))
    assert not [word for word in ("2037-01-05", "Centru & Co", "clinic.example") if word in plain]
    found = service.privacy.export(clinic.db, vault("notification"), ian)
    assert "Centru & Co" in found["notifications"][0]["facts"]
    assert "Centru & Co" in found["deliveries"][0]["facts"]
    assert LINK not in str(found)
    mail.start()
    assert 1 == clinic.send_now()
    [row] = clinic.deliveries(ian)
    assert (None, None) == (row["facts"], row["link"])


def _readable(value: object) -> str:
    """A column's value as somebody reads it who has no key."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def test_each_kind_can_be_switched_off(clinic: Clinic, mail: MailServer) -> None:
    """Whoever wants no reminders by mail sees them in the app, and hears of the rest."""
    joe = clinic.person("joe@example.com")
    token, visit = clinic.token("joe@example.com"), _visit(joe)
    answer = clinic.call(
        "PUT",
        "/api/notifications/preferences",
        {"choices": {"APPOINTMENT_REMINDER": {"EMAIL": False}}},
        token=token,
        headers={"If-Match": '"0"'},
    )
    assert 200 == answer.status_code, answer.text
    clinic.happens(AppointmentReminderDue(**visit, hours_before=2, link=LINK), version=1)
    clinic.happens(AppointmentCancelled(**visit, cancelled_by="SYSTEM"), version=2)
    assert ["Your appointment has been cancelled"] == _subjects(mail, "joe@example.com")
    assert 2 == clinic.inbox(token)["unread"]


def test_an_erasure_takes_all_of_it(clinic: Clinic, mail: MailServer) -> None:
    """Nothing of the appointment stays, and what comes late changes nothing."""
    kim = clinic.person("kim@example.com")
    visit = _visit(kim)
    mail.stop()
    clinic.happens(AppointmentConfirmed(**visit, invite=_invite("REQUEST")), version=1)
    answer = clinic.call(
        "POST", "/api/auth/erasures", {"patient_id": str(kim)}, token=clinic.admin()
    )
    assert 202 == answer.status_code, answer.text
    clinic.drain()
    mail.start()
    late = AppointmentCancelled(**visit, cancelled_by="CLINIC")
    clinic.happens(late, version=2)
    clinic.happens(AppointmentReminderDue(**visit, hours_before=2, link=LINK), version=1)
    assert 0 == clinic.send_now()
    assert {} == service.privacy.remains(clinic.db, kim)
    assert [] == clinic.db.all("select from settled where about = :id", id=visit["appointment_id"])


def test_a_time_zone_that_is_none(clinic: Clinic, mail: MailServer) -> None:
    """A message whose time nobody can tell is a dead letter, not a broken inbox."""
    lea = clinic.person("lea@example.com")
    clinic.happens(AppointmentConfirmed(**_visit(lea, time_zone="../etc/passwd")), version=1)
    assert [] == clinic.channels(lea)
    found = clinic.db.all("select reason from dead_letters where refs @> array[:p::uuid]", p=lea)
    assert ["not a time zone"] == [row["reason"] for row in found]


def test_a_declined_request_says_why(clinic: Clinic, mail: MailServer) -> None:
    """The reason is the reception's own words, in the mail and in the app, as text."""
    max_ = clinic.person("max@example.com")
    declined = AppointmentRequestDeclined(
        request_id=uuid4(), patient_id=max_, clinic_id=CLINIC, reason="Full <b>until</b>\n\nMarch"
    )
    clinic.happens(declined, version=2)
    [sent] = mail.to("max@example.com")
    assert "The reason: Full <b>until</b>\n\nMarch" in sent.part("plain")
    assert "Full &lt;b&gt;until&lt;/b&gt;" in sent.part("html")
    [item] = clinic.inbox(clinic.token("max@example.com"))["items"]
    assert item["text"].endswith("The reason: Full <b>until</b> March")
    assert str(declined.request_id) == item["about"]


def test_plans_and_prescriptions_are_not_named_by_mail(clinic: Clinic, mail: MailServer) -> None:
    """A mail says that something waits; what it is stands in the app. Only the newest plan does."""
    ned = clinic.person("ned@example.com")
    plan = {"treatment_id": uuid4(), "patient_id": ned, "clinic_id": CLINIC}
    mail.stop()
    clinic.happens(TreatmentPlanned(**plan, plan_version=1), version=1)
    clinic.happens(TreatmentPlanned(**plan, plan_version=2), version=2)
    mail.start()
    assert 1 == clinic.send_now()
    clinic.happens(TreatmentAccepted(**plan, plan_version=2), version=3)
    issued = PrescriptionIssued(prescription_id=uuid4(), patient_id=ned, clinic_id=CLINIC)
    clinic.happens(issued, version=1)
    assert [
        "A plan is waiting for your consent",
        "A new document is ready for you",
    ] == _subjects(mail, "ned@example.com")
    items = clinic.inbox(clinic.token("ned@example.com"))["items"]
    assert ["PRESCRIPTION_ISSUED", *["TREATMENT_PLANNED"] * 2] == [item["kind"] for item in items]
    assert items[0]["text"].startswith("A prescription for you is ready at Centru & Co.")


def test_a_clinic_that_we_have_not_heard_of(clinic: Clinic, mail: MailServer) -> None:
    """The mail asks auth for its name; the app does without, and so does a mail if nobody knows."""
    ole = clinic.person("ole@example.com")
    body = {
        "name": "Nou",
        "address": "Str. Lungă 1",
        "time_zone": "Europe/Bucharest",
        "languages": ["ro"],
    }
    made = clinic.call("POST", "/api/auth/clinics", body, token=clinic.admin())
    new = UUID((made.json or {})["id"])
    clinic.drain()
    clinic.db.all("delete from clinics where clinic_id = :id", id=new)
    clinic.happens(AppointmentConfirmed(**_visit(ole, clinic_id=new)), version=1)
    clinic.happens(AppointmentConfirmed(**_visit(ole, clinic_id=uuid4())), version=1)
    named, unnamed = (sent.part("plain") for sent in mail.to("ole@example.com"))
    assert "Monday, 5 January 2037 at 10:00 – Nou" in named.splitlines()
    assert "Monday, 5 January 2037 at 10:00" in unnamed.splitlines()
    for item in clinic.inbox(clinic.token("ole@example.com"))["items"]:
        assert item["text"].endswith("Monday, 5 January 2037 at 10:00.")
