"""Why somebody does not get the appointment they asked for."""

from __future__ import annotations

from typing import Any

from functions.appointment.domain.hours import Span
from shared.errors import Conflict

__all__ = ["NotBookable", "SeriesConflict", "SlotNotOffered", "SlotTaken", "shown"]


class SlotTaken(Conflict):
    """Somebody else was first, or has no time then: next names free slots.

    ``reason`` says who has none: PRACTITIONER, PATIENT or CHAIR.
    """


class SlotNotOffered(Conflict):
    """There is no such slot: next names free ones.

    ``reason``: OUTSIDE_HOURS, PAST, TOO_FAR (ahead), or OFF_GRID (only the clinic books between
    the slots that are offered).
    """


class NotBookable(Conflict):
    """This type of appointment, practitioner or chair cannot be booked here (any more)."""


class SeriesConflict(Conflict):
    """Not every appointment of the series is possible: conflicts names those that are not."""


def shown(spans: list[Span]) -> list[dict[str, Any]]:
    """Free slots as members of a problem."""
    return [{"starts_at": span.start, "ends_at": span.end} for span in spans]
