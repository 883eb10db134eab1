"""The routes under /api/appointments."""

from functions.appointment.api import (
    appointments,
    booking,
    calendar,
    catalogue,
    exceptions,
    links,
    practitioners,
    requests,
    settings,
    waitlist,
)
from functions.appointment.api.base import api

__all__ = [
    "api",
    "appointments",
    "booking",
    "calendar",
    "catalogue",
    "exceptions",
    "links",
    "practitioners",
    "requests",
    "settings",
    "waitlist",
]
