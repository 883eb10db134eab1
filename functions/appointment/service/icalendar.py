"""Appointments as iCalendar objects (RFC 5545, 7986), to be sent (RFC 5546) or followed.

A calendar is read by whoever sees the screen, and copied to servers that are not ours: an object
says when and at which clinic, never whom, why or with whom.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from functions.appointment.domain.calendar_text import (
    folded,
    moment,
    quoted,
    stamp,
    text,
    time_zone,
)
from functions.appointment.domain.visits import Visit
from functions.appointment.store.hooks import Method, invites
from shared.clocks import clock
from shared.config import config

__all__ = ["MEDIA", "Method", "feed", "invitation"]

MEDIA = "text/calendar; charset=utf-8"
_OPENED = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//DentalHelp//Appointments//EN")
_CLOSED = ("END:VCALENDAR",)
_STATUS = {"CANCELLED": "CANCELLED", "PENDING": "TENTATIVE"}


@invites
def invitation(visit: Visit, method: Method) -> str:
    """The object to attach to a message: METHOD REQUEST adds the appointment or moves it, CANCEL
    takes it away, in the order of SEQUENCE however the messages overtake each other."""
    host = urlsplit(config().public_url).hostname
    return folded(
        (
            *_OPENED,
            f"METHOD:{method}",
            *_zones([visit]),
            *_event(
                visit,
                clock().now(),
                f"ORGANIZER;CN={quoted(visit.clinic_name)}:mailto:no-reply@{host}",
                # The address is the mail's to know. Nothing is asked: saying yes is by the link.
                f"ATTENDEE;PARTSTAT=ACCEPTED;RSVP=FALSE:urn:uuid:{visit.patient_id}",
            ),
            *_CLOSED,
        )
    )


def feed(visits: Iterable[tuple[Visit, datetime]]) -> str:
    """A calendar to follow: appointments, and when each was changed last.

    The same appointments give the same text. What is cancelled stays, as STATUS:CANCELLED, so that
    calendars which only add and change notice it, too.
    """
    known = list(visits)
    lines = [*_OPENED, "NAME:DentalHelp", "X-WR-CALNAME:DentalHelp"]
    lines += ["REFRESH-INTERVAL;VALUE=DURATION:PT1H", *_zones([visit for visit, _ in known])]
    for visit, changed_at in known:
        lines += _event(visit, changed_at)
    return folded([*lines, *_CLOSED])


def _event(visit: Visit, stamped: datetime, *more: str) -> tuple[str, ...]:
    zone, name = ZoneInfo(visit.time_zone), text(visit.clinic_name)
    return (
        "BEGIN:VEVENT",
        f"UID:{visit.appointment_id}",
        f"SEQUENCE:{visit.version}",
        f"DTSTAMP:{stamp(stamped)}",
        moment("DTSTART", visit.starts_at, zone),
        moment("DTEND", visit.ends_at, zone),
        f"SUMMARY:{name}",
        f"LOCATION:{name}",
        f"STATUS:{_STATUS.get(visit.status, 'CONFIRMED')}",
        "CLASS:PRIVATE",
        *more,
        "END:VEVENT",
    )


def _zones(visits: Iterable[Visit]) -> list[str]:
    """The time zones that ``visits`` name, each with the years from before to after them."""
    years: dict[str, list[int]] = {}
    for visit in visits:
        years.setdefault(visit.time_zone, []).append(visit.starts_at.year)
    lines: list[str] = []
    for name, found in sorted(years.items()):
        lines += time_zone(ZoneInfo(name), min(found) - 1, max(found) + 1)
    return lines
