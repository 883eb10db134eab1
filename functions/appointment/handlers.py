"""What appointment consumes: which clinics and patients there are."""

from __future__ import annotations

from functions.appointment.service import schedule
from shared.contracts.auth import ClinicUpdated
from shared.db import Tx
from shared.errors import Reject
from shared.inbox import Subscriptions
from shared.known_people import follow_patients
from shared.messages import Metadata

__all__ = ["on"]

on = Subscriptions("appointment")
follow_patients(on)


@on(ClinicUpdated)
def follow_clinic(event: ClinicUpdated, tx: Tx, meta: Metadata) -> None:
    """The clinic's name and time zone, never backwards."""
    if meta.aggregate_version is None:
        raise Reject("a clinic without the version it is from")
    schedule.follow_clinic(event, tx, meta.aggregate_version)
