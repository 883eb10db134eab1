"""What auth does when a message arrives, and the local steps of its registration saga."""

from __future__ import annotations

from functions.auth.service import accounts, erasures
from shared.contracts.auth import ActivateUser, CreateUser, RemoveUser
from shared.contracts.gdpr import GdprDataErased
from shared.contracts.patient import NationalIdCorrected
from shared.db import Tx
from shared.inbox import Subscriptions
from shared.messages import Event, Metadata

__all__ = ["on"]

on = Subscriptions("auth")


@on.command(CreateUser, sender="auth")
def create_user(command: CreateUser, tx: Tx) -> list[Event]:
    """The account, not usable yet."""
    return accounts.create_user(command, tx)


@on.command(RemoveUser, sender="auth")
def remove_user(command: RemoveUser, tx: Tx) -> list[Event]:
    """The registration failed: the e-mail address and the national id are free again."""
    return accounts.remove_user(command.person_id, tx)


@on.command(ActivateUser, sender="auth")
def activate_user(command: ActivateUser, tx: Tx) -> list[Event]:
    """Every service knows the person now."""
    return accounts.activate_user(command.person_id, tx)


@on(NationalIdCorrected)
def follow_national_id(event: NationalIdCorrected, tx: Tx, meta: Metadata) -> None:
    """The number that keeps a person from registering twice, never backwards."""
    version = meta.version("a national id")
    accounts.follow_national_id(event.patient_id, event.national_id, version, tx)


@on(GdprDataErased)
def note_erased(event: GdprDataErased, tx: Tx, meta: Metadata) -> None:
    """A service has erased a person; when all have, so has the group."""
    erasures.answered(event, tx, meta)
