"""A platform that knows one clinic, and a patient's visits to it as appointment tells of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.contracts.auth import ClinicUpdated
from tests.mail_server import MailServer
from tests.notification_stack import Clinic

__all__ = [
    "CLINIC",
    "LINK",
    "SUMMER",
    "WINTER",
    "arranged",
    "invitation",
    "known_clinic_fixture",
    "subjects",
]

CLINIC = uuid4()
LINK = "https://clinic.example/answer#a.b-c_d"
# A winter's day and a summer's: the wall in Bucharest is two hours ahead, then three.
WINTER = datetime(2037, 1, 5, 8, 0, tzinfo=UTC)
SUMMER = datetime(2037, 7, 6, 8, 0, tzinfo=UTC)
_INVITE = """BEGIN:VCALENDAR\r
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


def known_clinic_fixture() -> Any:
    """A fixture: one platform for the module that has it, which knows one clinic."""

    @pytest.fixture(scope="module")
    def clinic(service_db: Callable[[str], str], server: MailServer) -> Clinic:
        made = Clinic(service_db, server)
        known = ClinicUpdated(
            clinic_id=CLINIC, name="Centru & Co", time_zone="Europe/Bucharest", languages=["ro"]
        )
        made.happens(known, version=1)
        return made

    return clinic


def invitation(method: str, sequence: int = 0) -> str:
    """The invitation that appointment has written."""
    return _INVITE.format(method=method, sequence=sequence)


def arranged(patient: UUID, starts_at: datetime = WINTER, **more: Any) -> dict[str, Any]:
    """What every message about a new appointment of ``patient`` says."""
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


def subjects(mail: MailServer, to: str) -> list[str]:
    """The subjects of the mails that somebody was sent, in order."""
    return [str(sent.message["Subject"]) for sent in mail.to(to)]
