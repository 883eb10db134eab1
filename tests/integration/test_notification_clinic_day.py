"""What appointment says arrives at people: requests, bookings, invitations, reminders, links."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Calendar

from functions.appointment.main import service as appointment
from shared.clocks import clock
from shared.config import config
from shared.testing import frozen
from shared.types import uuid7
from tests.appointment_stack import WEEK
from tests.mail_server import MailServer, Received
from tests.notification_stack import Clinic, clinic_fixture

ZONE = ZoneInfo("Europe/Bucharest")
API = "/api/appointments"
TYPE = {
    "name": "Check-up",
    "duration_minutes": 30,
    "needs_chair": False,
    "price": 15000,
    "currency": "RON",
    "cutoff_minutes": 60,
}

clinic = clinic_fixture(more=("appointment",))


def _made(clinic: Clinic, path: str, body: Any, token: str, **headers: str) -> dict[str, Any]:
    """What a POST answers, once everybody has heard of it."""
    answer = clinic.call("POST", path, body, token=token, headers=headers)
    assert 300 > answer.status_code, answer.text
    clinic.drain()
    found: dict[str, Any] = answer.json or {}
    return found


def _monday() -> datetime:
    """Ten in the morning of a Monday after next week's, on the wall in Bucharest."""
    today = clock().now().astimezone(ZONE).replace(hour=10, minute=0, second=0, microsecond=0)
    return today + timedelta(days=14 - today.weekday())


def _event(sent: Received) -> tuple[str, Any]:
    """The method of the mail's invitation, and its event."""
    [part] = sent.message.iter_attachments()
    calendar = Calendar.from_ical(str(part.get_content()))
    assert part.get_param("method") == calendar["METHOD"]
    return str(calendar["METHOD"]), calendar.walk("VEVENT")[0]


def test_a_patient_s_way_to_an_appointment_and_out_of_it(clinic: Clinic, mail: MailServer) -> None:
    """Asked for, booked, reminded of, cancelled by the reminder's link: each arrives, once."""
    place = _made(
        clinic,
        "/api/auth/clinics",
        {"name": "Centru", "address": "Str. Lungă 1", "time_zone": ZONE.key, "languages": ["ro"]},
        clinic.admin(),
    )["id"]
    desk = clinic.staff("desk@example.com", {"role": "RECEPTIONIST", "clinic_id": place})
    clinic.drain()
    ana = str(clinic.person("ana@example.com", language="ro"))
    here = f"{API}/clinics/{place}"
    who = {"practitioner_id": str(uuid7()), "display_name": "Dr. Popa", "hours": WEEK}
    dentist = _made(clinic, f"{here}/practitioners", who, desk)["practitioner_id"]
    kind = _made(clinic, f"{here}/types", TYPE, desk)["type_id"]

    with frozen(clock().now()) as now:
        at = _monday()
        window = {"starts_at": at.isoformat(), "ends_at": (at + timedelta(hours=2)).isoformat()}
        wish = {"patient_id": ana, "clinic_id": place, "type_id": kind, "windows": [window]}
        asked = _made(clinic, f"{API}/requests", wish, clinic.token("ana@example.com"))
        accepted = {"practitioner_id": dentist, "starts_at": at.isoformat()}
        _made(
            clinic,
            f"{API}/requests/{asked['request_id']}/accept",
            accepted,
            desk,
            **{"If-Match": f'"{asked["version"]}"'},
        )
        assert ["A patient asks for an appointment"] == [
            sent.message["Subject"] for sent in mail.to("desk@example.com")
        ]
        [booked] = mail.to("ana@example.com")
        assert "Programarea dumneavoastră este confirmată" == booked.message["Subject"]
        assert " la 10:00 – Centru" in booked.part("plain")
        method, event = _event(booked)
        assert ("REQUEST", at) == (method, event["DTSTART"].dt)

        now.advance(at - now.now() - timedelta(hours=47))
        assert [1, 0] == [appointment.jobs["remind"].run(), appointment.jobs["remind"].run()]
        clinic.drain()
        [_, reminder] = mail.to("ana@example.com")
        [link] = [line for line in reminder.part("plain").splitlines() if "://" in line]
        path = link.removeprefix(config().public_url)
        assert 200 == clinic.call("GET", path).status_code
        assert 400 > clinic.call("POST", f"{path}/cancel").status_code
        clinic.drain()

    [*_, cancelled] = mail.to("ana@example.com")
    assert 3 == len(mail.to("ana@example.com"))
    assert "Ați solicitat dumneavoastră anularea." in cancelled.part("plain")
    ended, last = _event(cancelled)
    assert ("CANCEL", event["UID"]) == (ended, last["UID"])
    assert event["SEQUENCE"] < last["SEQUENCE"]
    kinds = [item["kind"] for item in clinic.inbox(clinic.token("ana@example.com"))["items"]]
    assert ["APPOINTMENT_CANCELLED", "APPOINTMENT_REMINDER", "APPOINTMENT_CONFIRMED"] == kinds
