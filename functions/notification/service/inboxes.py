"""What a person sees and chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from functions.notification.domain.choices import (
    Choices,
    Chosen,
    MandatoryKind,
    choices_of,
    muted_by,
)
from functions.notification.domain.notices import Channel, Kind
from functions.notification.service import facts, texts
from functions.notification.store import inbox, live
from shared import audit
from shared.crypto import Subject
from shared.db import Tx
from shared.errors import Invalid, NotFound, StaleVersion
from shared.pages import decode_cursor, encode_cursor
from shared.privacy import alive
from shared.runtime import database
from shared.types import Language

__all__ = ["Inbox", "Item", "listing", "mark_all", "mark_read", "preferences", "set_preferences"]


@dataclass(frozen=True, slots=True)
class Item:
    """One notification, in the reader's language."""

    id: UUID
    kind: Kind
    title: str
    text: str
    about: UUID | None
    created_at: datetime
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class Inbox:
    """A page of notifications and how many are unread in all."""

    items: Sequence[Item]
    unread: int
    next_cursor: str | None


def listing(
    person_id: UUID, *, language: Language | None, unread: bool, limit: int, cursor: str | None
) -> Inbox:
    """The person's notifications, newest first, in ``language`` or the person's own.

    Raises BadRequest for a foreign cursor.
    """
    after = None if cursor is None else decode_cursor(cursor, tuple[datetime, UUID])
    row = inbox.page(
        database("notification"), person_id, unread=unread, after=after, limit=limit + 1
    )
    if row is None:
        # A token outlives an erasure by a moment: nothing is there any more.
        return Inbox([], 0, None)
    spoken = language or cast("Language", row["language"] or "en")
    found = row["items"][:limit]
    following = None
    if len(row["items"]) > limit:
        following = encode_cursor((found[-1]["created_at"], found[-1]["id"]))
    key = facts.key_of(person_id, row) if any(one["facts"] for one in found) else None
    return Inbox([_item(one, spoken, key) for one in found], row["unread"], following)


def mark_read(person_id: UUID, identity: UUID) -> None:
    """One notification is read; again, nothing changes. Raises NotFound."""

    def work(tx: Tx) -> None:
        if not inbox.read(tx, person_id, identity):
            raise NotFound("You have no such notification.")
        _changed(tx, person_id)

    database("notification").transaction(work)


def mark_all(person_id: UUID) -> None:
    """All notifications are read."""

    def work(tx: Tx) -> None:
        inbox.read_all(tx, person_id)
        _changed(tx, person_id)

    database("notification").transaction(work)


def preferences(person_id: UUID) -> tuple[int, dict[Chosen, dict[Channel, bool]]]:
    """(version, kind -> channel -> wanted); version 0 where nothing was ever chosen."""
    version, muted = inbox.preferences(database("notification"), person_id)
    return version, choices_of(muted)


def set_preferences(
    person_id: UUID, version: int, choices: Choices
) -> tuple[int, dict[Chosen, dict[Channel, bool]]]:
    """Replace all choices; what is not named is wanted. Raises Invalid, StaleVersion,
    PersonErased."""
    try:
        muted = muted_by(choices)
    except MandatoryKind as refused:
        pointer = f"/choices/{refused.kind}/{refused.channel}"
        detail = "warnings about the account cannot be switched off"
        raise Invalid(errors=[{"pointer": pointer, "detail": detail}]) from None

    def work(tx: Tx) -> int:
        alive(tx, person_id)
        new = inbox.set_preferences(tx, person_id, version, muted)
        if new is None:
            raise StaleVersion
        audit.record(tx, person_id, "write", "notification preferences")
        return new

    # READ COMMITTED: alive() must see an erasure that it has waited for.
    return database("notification").transaction(work, isolation="READ COMMITTED"), choices_of(muted)


def _changed(tx: Tx, person_id: UUID) -> None:
    audit.record(tx, person_id, "write", "notifications")
    tx.after(lambda: live.refresh(person_id))


def _item(row: dict[str, str | None], language: Language, key: Subject | None) -> Item:
    kind, sealed = str(row["kind"]), row["facts"]
    known = facts.unseal(key, bytes.fromhex(sealed) if sealed else None)
    title, text = texts.in_app(kind, language, known)
    about, created, read = row["about"], row["created_at"], row["read_at"]
    return Item(
        id=UUID(row["id"]),
        kind=kind,
        title=title,
        text=text,
        about=None if about is None else UUID(about),
        created_at=datetime.fromisoformat(str(created)),
        read_at=None if read is None else datetime.fromisoformat(read),
    )
