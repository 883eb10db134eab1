"""What auth does when a message arrives: the local steps of its own registration saga."""

from __future__ import annotations

from functions.auth.service import accounts
from shared.contracts.auth import ActivateUser, CreateUser, RemoveUser
from shared.db import Tx
from shared.inbox import Subscriptions
from shared.messages import Event

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
