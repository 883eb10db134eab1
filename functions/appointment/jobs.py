"""What a schedule triggers in appointment."""

from __future__ import annotations

from datetime import timedelta

from functions.appointment.service import offers, reminders
from shared.jobs import Jobs

__all__ = ["jobs"]

jobs = Jobs()


@jobs("offer-freed-slots", every=timedelta(seconds=5))
def offer_freed_slots() -> int:
    """Offers that nobody answered in time, and whoever is next."""
    return offers.offer_due()


@jobs("remind", every=timedelta(seconds=5))
def remind() -> int:
    """Appointments that patients are to be reminded of now."""
    return reminders.remind_due()
