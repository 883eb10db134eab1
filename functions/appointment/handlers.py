"""What appointment consumes: which clinics and patients there are, and who works where."""

from __future__ import annotations

from functions.appointment.service import schedule
from shared.contracts.auth import ClinicUpdated, RolesChanged
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
    schedule.follow_clinic(event, tx, _version(meta))


@on(RolesChanged)
def follow_roles(event: RolesChanged, tx: Tx, meta: Metadata) -> None:
    """Whoever leaves a clinic cannot be booked there any more."""
    schedule.follow_roles(event, tx, _version(meta))


def _version(meta: Metadata) -> int:
    if meta.aggregate_version is None:
        raise Reject("without the version it is from")
    return meta.aggregate_version
