"""What a patient is told of appointments: once, in words, at the clinic's own time."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

import pytest
from icalendar import Calendar

from shared.contracts.appointment import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentConfirmed,
    AppointmentReminderDue,
    AppointmentRequestDeclined,
    AppointmentRescheduled,
)
from tests.integration.visit_stack import (
    CLINIC,
    LINK,
    SUMMER,
    WINTER,
    arranged,
    invitation,
    known_clinic_fixture,
)
from tests.mail_server import MailServer
from tests.notification_stack import Clinic

clinic = known_clinic_fixture()


def test_a_booking_is_told_once(clinic: Clinic, mail: MailServer) -> None:
    """Booked and confirmed at once is one e-mail and one notification: time, place, invitation."""
    ana = clinic.person("ana@example.com", language="ro")
    visit = arranged(ana)
    clinic.happens(AppointmentBooked(**visit, status="CONFIRMED"), version=1)
    clinic.happens(AppointmentConfirmed(**visit, invite=invitation("REQUEST")), version=1)
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
    visit = arranged(person, moment[0], time_zone=moment[1])
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
    visit, invite = arranged(clinic.person(email)), invitation(method, sequence)
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
    clinic.happens(AppointmentConfirmed(**arranged(clinic.person("bob@example.com"))), version=1)
    message = mail.to("bob@example.com")[0].message
    assert "multipart/alternative" == message.get_content_type()


def test_a_whole_appointment(clinic: Clinic, mail: MailServer) -> None:
    """Each thing that happens to it is told, by mail and in the app, with what matters in it."""
    cleo = clinic.person("cleo@example.com")
    visit = arranged(cleo)
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


def test_a_time_zone_that_is_none(clinic: Clinic, mail: MailServer) -> None:
    """A message whose time nobody can tell is a dead letter, not a broken inbox."""
    lea = clinic.person("lea@example.com")
    clinic.happens(AppointmentConfirmed(**arranged(lea, time_zone="../etc/passwd")), version=1)
    assert [] == clinic.channels(lea)
    found = clinic.db.all("select reason from dead_letters where refs @> array[:p::uuid]", p=lea)
    assert ["not a time zone"] == [row["reason"] for row in found]


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
    clinic.happens(AppointmentConfirmed(**arranged(ole, clinic_id=new)), version=1)
    clinic.happens(AppointmentConfirmed(**arranged(ole, clinic_id=uuid4())), version=1)
    named, unnamed = (sent.part("plain") for sent in mail.to("ole@example.com"))
    assert "Monday, 5 January 2037 at 10:00 – Nou" in named.splitlines()
    assert "Monday, 5 January 2037 at 10:00" in unnamed.splitlines()
    for item in clinic.inbox(clinic.token("ole@example.com"))["items"]:
        assert item["text"].endswith("Monday, 5 January 2037 at 10:00.")
