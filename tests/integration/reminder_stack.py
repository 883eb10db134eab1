"""Appointments that are reminded of, and the links that reminders carry."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from werkzeug.test import TestResponse

from functions.appointment.jobs import remind
from shared.config import config
from shared.messages import Envelope
from tests.appointment_stack import AppointmentStack, Clinic, utc

__all__ = ["FRIDAY", "HOUR", "booked", "follow", "reminded"]

FRIDAY = utc("2026-03-06T08:00")
HOUR = timedelta(hours=1)


def booked(
    stack: AppointmentStack, clinic: Clinic, at: datetime = FRIDAY, **kind: Any
) -> dict[str, Any]:
    """Somebody's appointment, on Friday unless another time is named."""
    order = stack.order(stack.patient(), clinic.practitioner(), clinic.type(**kind), at)
    return stack.made("POST", "", order, by=clinic.desk)


def reminded(stack: AppointmentStack, visit: dict[str, Any]) -> list[Envelope]:
    """Run the job: the reminders of this appointment that it has sent."""
    stack.types()
    remind()
    return [
        env
        for env in stack.sent
        if env.event_type == "APPOINTMENT_REMINDER_DUE"
        and env.payload["appointment_id"] == visit["appointment_id"]
    ]


def follow(stack: AppointmentStack, link: str, how: str = "", language: str = "en") -> TestResponse:
    """Open a link as a browser does, or press a button of its page."""
    path = link.removeprefix(config().public_url) + how
    return stack.app.test_client().open(
        path, method="POST" if how else "GET", headers={"Accept-Language": language}
    )
