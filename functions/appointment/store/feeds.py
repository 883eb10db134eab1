"""The SQL of calendar feeds."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.db import Database, Row, Tx

__all__ = ["drop", "keep", "made_at", "owner"]


def keep(tx: Tx, person_id: UUID, token_hash: bytes, at: datetime) -> None:
    """The person's feed has this token from now on, and no other."""
    tx.run(
        "insert into calendar_feeds (person_id, token_hash, made_at)"
        " values (:person_id, :token_hash, :at)"
        " on conflict (person_id) do update"
        " set token_hash = excluded.token_hash, made_at = excluded.made_at",
        person_id=person_id,
        token_hash=token_hash,
        at=at,
    )


def drop(tx: Tx, person_id: UUID) -> bool:
    """The person has no feed any more; False where there was none."""
    return tx.run("delete from calendar_feeds where person_id = :id", id=person_id) == 1


def made_at(db: Database, person_id: UUID) -> datetime | None:
    """Since when the person has a feed; None where there is none."""
    row: Row | None = db.one(
        "select made_at from calendar_feeds where person_id = :id", id=person_id
    )
    return None if row is None else row["made_at"]


def owner(db: Database, token_hash: bytes) -> UUID | None:
    """Whose feed has this token."""
    row = db.one("select person_id from calendar_feeds where token_hash = :h", h=token_hash)
    return None if row is None else row["person_id"]
