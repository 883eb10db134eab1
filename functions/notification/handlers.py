"""What notification does when a message arrives: it tells the person, once for each channel."""

from __future__ import annotations

from uuid import UUID

from functions.notification.service import notify
from shared.contracts.auth import EmailUpdated, PasswordChanged, UserActivated
from shared.contracts.notification import DeliverEmail, SendInvitation, SendWelcome
from shared.db import Tx
from shared.inbox import Subscriptions, message_id
from shared.messages import Metadata

__all__ = ["on"]

on = Subscriptions("notification")


@on(UserActivated)
def welcome(event: UserActivated, tx: Tx) -> None:
    """The first thing in the inbox; the e-mail is the registration's to order."""
    notify.in_app(tx, event.person_id, message_id(), "WELCOME", language=event.language)


@on(PasswordChanged)
def warn_of_password(event: PasswordChanged, tx: Tx) -> None:
    """Whoever did not do this must hear of it."""
    notify.in_app(tx, event.person_id, message_id(), "PASSWORD_CHANGED")
    notify.mail(tx, event.person_id, message_id(), "PASSWORD_CHANGED")


@on(EmailUpdated)
def warn_of_email(event: EmailUpdated, tx: Tx) -> None:
    """Both addresses hear of it: the old one may be the only one its owner still reads."""
    notify.in_app(tx, event.person_id, message_id(), "EMAIL_UPDATED")
    notify.mail(tx, event.person_id, message_id(), "EMAIL_UPDATED")
    if event.previous is not None:
        notify.mail_previous(tx, event.person_id, message_id(), "EMAIL_UPDATED", event.previous)


@on.command(SendWelcome, sender="auth")
def send_welcome(command: SendWelcome, tx: Tx, meta: Metadata) -> None:
    """By e-mail, where there is an address."""
    notify.mail(tx, command.person_id, _cause(meta), "WELCOME")


@on.command(SendInvitation, sender="auth")
def send_invitation(command: SendInvitation, tx: Tx, meta: Metadata) -> None:
    """The link is kept sealed until it has left."""
    notify.invite(tx, command.person_id, _cause(meta), command.link)


# On our own topic: nobody but the redriving of a dead letter sends it.
@on.register(DeliverEmail, frozenset({"notification"}))
def deliver_email(command: DeliverEmail, tx: Tx) -> None:
    """An operator wants an e-mail that was given up to be tried again."""
    notify.retry(tx, command.delivery_id)


def _cause(meta: Metadata) -> UUID:
    """A saga may command the same again under another id; it means one mail."""
    return message_id() if meta.saga is None else meta.saga.saga_id
