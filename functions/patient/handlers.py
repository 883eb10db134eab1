"""What patient does when a message arrives: its part of a registration, and auth's e-mail."""

from __future__ import annotations

from functions.patient.service import registration
from shared.clocks import clock, moment
from shared.contracts.auth import EmailUpdated
from shared.contracts.patient import CreatePatient, RemovePatient
from shared.db import Tx
from shared.inbox import Subscriptions
from shared.messages import Metadata
from shared.telemetry import timed

__all__ = ["on"]

on = Subscriptions("patient")

_LAG = "dentalhelp.email.replica.lag"


@on.command(CreatePatient, sender="auth")
def create(command: CreatePatient, tx: Tx) -> None:
    """Profile and anamnesis, together; refused when invalid or the national id is taken."""
    registration.create(command, tx)


@on.command(RemovePatient, sender="auth")
def remove(command: RemovePatient, tx: Tx) -> None:
    """The registration failed: nothing of the person stays, or comes later."""
    registration.remove(command.patient_id, tx)


@on(EmailUpdated)
def follow_email(event: EmailUpdated, tx: Tx, meta: Metadata) -> None:
    """The replica of the address, never backwards; before the profile, it is kept for it."""
    version = meta.version("an e-mail address")
    now, changed_at = clock().now(), moment(meta.hlc)
    # Auth's clock may be ahead of ours, but what we have learned is not yet to come.
    since = min(changed_at, now)
    registration.follow_email(event.person_id, event.email, version, since, tx)
    tx.after(lambda: timed(_LAG, (clock().now() - changed_at).total_seconds()))
