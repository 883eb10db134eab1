"""Telling a person: what an event or a command leaves to be read and to be sent.

An event's id, or the id of the saga that commands, makes it happen once for each channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from functions.notification.domain.notices import MAIL_ONLY, Channel, Notice
from functions.notification.service import facts as sealing
from functions.notification.service import sending
from functions.notification.service.facts import Facts
from functions.notification.store import deliveries, inbox, live
from shared.contracts.notification import NotificationSent
from shared.crypto import Subject
from shared.db import Tx
from shared.runtime import vault

__all__ = ["News", "mail_previous", "retry", "tell"]


@dataclass(frozen=True, slots=True)
class News:
    """What there is to tell."""

    notice: Notice
    cause: UUID
    """Whatever comes again with the same cause is told."""
    facts: Facts
    about: UUID | None = None
    """What it is about, where that is not the person."""
    version: int | None = None
    """Of what it is about."""
    language: str | None = None
    """The person's, where the event says."""


def tell(tx: Tx, person_id: UUID, news: News, channels: tuple[Channel, ...] | None = None) -> None:
    """Tell the person by ``channels`` (None: all of the notice's), unless that was done or is not
    wanted."""
    key = vault("notification").new_subject(tx, person_id) if news.facts else None
    for channel in channels or news.notice.channels:
        (_in_app if channel == "IN_APP" else _mail)(tx, person_id, news, key)


def mail_previous(tx: Tx, person_id: UUID, news: News, address: str) -> None:
    """Write to an address that is not the person's any more."""
    sealed = vault("notification").new_subject(tx, person_id).seal("address", address)
    kind = news.notice.kind
    if deliveries.add(tx, person_id, news.cause, kind, "PREVIOUS", address=sealed):
        tx.after(sending.send_due)


def retry(tx: Tx, delivery_id: UUID) -> None:
    """Send what was given up; nothing happens where it is gone or on its way."""
    if deliveries.again(tx, delivery_id):
        tx.after(sending.send_due)


def _in_app(tx: Tx, person_id: UUID, news: News, key: Subject | None) -> None:
    kept = {name: text for name, text in news.facts.items() if name not in MAIL_ONLY}
    added = inbox.add(
        tx,
        person_id,
        news.cause,
        news.notice.kind,
        language=news.language,
        about=news.about,
        facts=None if key is None else sealing.seal(key, kept),
    )
    if added is None:
        return
    identity, sent = added
    told = NotificationSent(
        person_id=person_id, notification_id=identity, kind=news.notice.kind, channel="IN_APP"
    )
    tx.emit(told, version=sent)
    tx.after(lambda: live.refresh(person_id))


def _mail(tx: Tx, person_id: UUID, news: News, key: Subject | None) -> None:
    """Write to the address the person has when the mail leaves."""
    kept = {name: text for name, text in news.facts.items() if name != "link"}
    added = deliveries.add(
        tx,
        person_id,
        news.cause,
        news.notice.kind,
        "CURRENT",
        link=None if key is None else key.seal("link", news.facts.get("link")),
        facts=None if key is None else sealing.seal(key, kept),
        about=news.about,
        version=news.version,
    )
    if added:
        tx.after(sending.send_due)
