"""What appointment consumes: which clinics and patients there are, and who works where."""

from __future__ import annotations

from functions.appointment.service import schedule
from shared.contracts.auth import ClinicUpdated, RolesChanged
from shared.db import Tx
from shared.inbox import Subscriptions
from shared.known_people import follow_patients
from shared.messages import Metadata

__all__ = ["on"]

on = Subscriptions("appointment")
follow_patients(on)


@on(ClinicUpdated)
def follow_clinic(event: ClinicUpdated, tx: Tx, meta: Metadata) -> None:
    """The clinic's name and time zone, never backwards."""
    schedule.follow_clinic(event, tx, meta.version())


@on(RolesChanged)
def follow_roles(event: RolesChanged, tx: Tx, meta: Metadata) -> None:
    """Whoever leaves a clinic cannot be booked there any more."""
    schedule.follow_roles(event, tx, meta.version())
