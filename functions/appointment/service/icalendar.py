"""Appointments as iCalendar objects (RFC 5545, 7986), to be sent (RFC 5546) or followed.

A calendar is read by whoever sees the screen, and copied to servers that are not ours: an object
says when and at which clinic, never whom, why or with whom.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from functions.appointment.domain.hours import instant
from functions.appointment.domain.visits import Visit
from functions.appointment.store.hooks import Method, invites
from shared.clocks import clock
from shared.config import config

if TYPE_CHECKING:
    from icalendar import Calendar, Event

__all__ = ["MEDIA", "Method", "feed", "invitation"]

MEDIA = "text/calendar; charset=utf-8"
_PRODUCT = "-//DentalHelp//Appointments//EN"
_STATUS = {"CANCELLED": "CANCELLED", "PENDING": "TENTATIVE"}


@invites
def invitation(visit: Visit, method: Method) -> str:
    """The object to attach to a message: METHOD REQUEST adds the appointment or moves it, CANCEL
    takes it away, in the order of SEQUENCE however the messages overtake each other."""
    from icalendar import Calendar, vCalAddress

    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", method)
    event = _event(visit, stamp=clock().now())
    organizer = vCalAddress(f"mailto:no-reply@{urlsplit(config().public_url).hostname}")
    organizer.params["CN"] = visit.clinic_name
    event.add("organizer", organizer)
    # The address is the mail's to know. Nothing is asked: saying yes is by the link.
    attendee = vCalAddress(f"urn:uuid:{visit.patient_id}")
    attendee.params["PARTSTAT"], attendee.params["RSVP"] = "ACCEPTED", "FALSE"
    event.add("attendee", attendee)
    calendar.add_component(event)
    return _text(calendar)


def feed(visits: Iterable[tuple[Visit, datetime]]) -> str:
    """A calendar to follow: appointments, and when each was changed last.

    The same appointments give the same text. What is cancelled stays, as STATUS:CANCELLED, so that
    calendars which only add and change notice it, too.
    """
    from icalendar import Calendar, vDuration

    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.calendar_name = "DentalHelp"
    hourly = vDuration(timedelta(hours=1))
    calendar.add("refresh-interval", hourly, parameters={"VALUE": "DURATION"})
    for visit, changed_at in visits:
        calendar.add_component(_event(visit, stamp=changed_at))
    return _text(calendar)


def _event(visit: Visit, *, stamp: datetime) -> Event:
    from icalendar import Event

    event = Event()
    event.add("uid", str(visit.appointment_id))
    event.add("sequence", visit.version)
    event.add("dtstamp", stamp.astimezone(UTC).replace(microsecond=0))
    zone = ZoneInfo(visit.time_zone)
    event.add("dtstart", _on_the_wall(visit.starts_at, zone))
    event.add("dtend", _on_the_wall(visit.ends_at, zone))
    event.add("summary", visit.clinic_name)
    event.add("location", visit.clinic_name)
    event.add("status", _STATUS.get(visit.status, "CONFIRMED"))
    event.add("class", "PRIVATE")
    return event


def _on_the_wall(at: datetime, zone: ZoneInfo) -> datetime:
    """``at`` in ``zone``; in UTC in the hour that a wall shows twice, of which RFC 5545 (3.3.5)
    knows only the first."""
    local = at.astimezone(zone)
    return local if instant(local.replace(tzinfo=None), zone) == at else at.astimezone(UTC)


def _text(calendar: Calendar) -> str:
    """The text, with the time zones that it names."""
    years = [event.start.year for event in calendar.events]
    if years:
        calendar.add_missing_timezones(
            first_date=date(min(years) - 1, 1, 1), last_date=date(max(years) + 2, 1, 1)
        )
    text: str = calendar.to_ical().decode()
    return text
