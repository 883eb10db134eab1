"""The SQL of calendar feeds."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from functions.appointment.store.appointments import FROM, VISIT
from shared.audit import audited, visible, who
from shared.db import Database, Row, Tx

__all__ = ["drop", "keep", "made_at", "of_token"]

# Whose calendar it is comes with the appointments, so that one statement is all a look costs; who
# has none is one row of nulls. Practitioners follow their own working day. What a full calendar
# leaves out is over for the longest, or the farthest ahead.
_OF_TOKEN = (
    audited(
        f"""
select f.person_id, v.*
  from calendar_feeds f
  left join lateral (
    select {VISIT}, a.changed_at {FROM}
     where (a.patient_id = f.person_id or a.practitioner_id = f.person_id)
       and a.starts_at >= :since and {visible("a.patient_id")}
     order by a.ends_at <= :now, abs(extract(epoch from a.starts_at - :now::timestamptz)),
              a.appointment_id
     limit :limit) v on true
 where f.token_hash = :token_hash""",  # nosec B608
        action="read",
        what="calendar feed",
        person="patient_id",
        where="patient_id is not null",
    )
    + " order by starts_at, appointment_id"
)


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


def of_token(
    db: Database, token_hash: bytes, *, since: datetime, now: datetime, limit: int
) -> list[Row]:
    """The appointments of whoever has this token, as ``store.appointments`` has them, with
    ``person_id`` and ``changed_at``; a row of nulls where there are none, no row for no feed."""
    return db.all(_OF_TOKEN, token_hash=token_hash, since=since, now=now, limit=limit, **who())
