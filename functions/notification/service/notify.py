"""Telling a person: what an event or a command leaves to be read and to be sent.

An event's id, or the id of the saga that commands, makes it happen once for each channel.
"""

from __future__ import annotations

from uuid import UUID

from functions.notification.domain import Kind
from functions.notification.service import sending
from functions.notification.store import deliveries, inbox, live
from shared.contracts.notification import NotificationSent
from shared.db import Tx
from shared.runtime import vault

__all__ = ["in_app", "invite", "mail", "mail_previous", "retry"]


def in_app(
    tx: Tx, person_id: UUID, event_id: UUID, kind: Kind, *, language: str | None = None
) -> None:
    """Put it into the person's inbox, unless it is there or not wanted."""
    added = inbox.add(tx, person_id, event_id, kind, language)
    if added is None:
        return
    identity, sent = added
    told = NotificationSent(
        person_id=person_id, notification_id=identity, kind=kind, channel="IN_APP"
    )
    tx.emit(told, version=sent)
    tx.after(lambda: live.refresh(person_id))


def mail(tx: Tx, person_id: UUID, event_id: UUID, kind: Kind) -> None:
    """Write to the address the person has when the mail leaves."""
    if deliveries.add(tx, person_id, event_id, kind, "CURRENT"):
        tx.after(sending.send_due)


def mail_previous(tx: Tx, person_id: UUID, event_id: UUID, kind: Kind, address: str) -> None:
    """Write to an address that is not the person's any more."""
    sealed = vault("notification").new_subject(tx, person_id).seal("address", address)
    if deliveries.add(tx, person_id, event_id, kind, "PREVIOUS", address=sealed):
        tx.after(sending.send_due)


def invite(tx: Tx, person_id: UUID, event_id: UUID, link: str) -> None:
    """Send the link by which the first password is set."""
    sealed = vault("notification").new_subject(tx, person_id).seal("link", link)
    if deliveries.add(tx, person_id, event_id, "INVITATION", "CURRENT", link=sealed):
        tx.after(sending.send_due)


def retry(tx: Tx, delivery_id: UUID) -> None:
    """Send what was given up; nothing happens where it is gone or on its way."""
    if deliveries.again(tx, delivery_id):
        tx.after(sending.send_due)
