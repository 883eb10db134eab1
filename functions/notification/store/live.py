"""The live view of an inbox: how much is unread and what is newest, without any text."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from functions.notification.store import inbox
from shared.db import Tx
from shared.documents import documents
from shared.runtime import database

__all__ = ["forget", "refresh", "refresh_stale"]

_COLLECTION = "inbox"


def refresh(person_id: UUID) -> None:
    """Give the view what the tables hold now. Repeated or late, it does no harm: a view is only
    replaced by newer versions, and one of an erased person never."""
    db = database("notification")
    row = inbox.live(db, person_id)
    if row is None:
        return
    data = {"unread": row["unread"], "latest": row["latest"]}
    documents("notification").put(_COLLECTION, person_id, row["version"], data)
    inbox.projected(db, person_id, row["version"])


def refresh_stale() -> int:
    """Catch up with changes whose process died before their view was refreshed; how many."""
    people = inbox.stale(database("notification"))
    for person_id in people:
        refresh(person_id)
    return len(people)


def forget(tx: Tx, person_id: UUID) -> Mapping[str, int]:  # noqa: ARG001 -- nothing is held
    """The view of somebody who is erased goes, and does not come back."""
    return {"inbox views": int(documents("notification").erase(_COLLECTION, person_id))}
