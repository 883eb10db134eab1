"""Archives of exports: what was asked for, who makes it, and the object that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from shared.blobs import objects
from shared.db import Database, Row, Tx

__all__ = [
    "FOLDER",
    "claim",
    "drop_old",
    "expire",
    "forget",
    "get",
    "give_back",
    "has_account",
    "insert",
    "mark_ready",
    "open_for",
    "paths",
    "progress",
]

FOLDER = "exports"
_LEASE = timedelta(seconds=90)


def insert(tx: Tx, export_id: UUID, person: UUID, requested_by: UUID | None, now: datetime) -> None:
    """A new export, QUEUED; nothing changes where the person has an open one."""
    tx.run(
        "insert into exports (id, person_id, requested_by, requested_at, lease_until)"
        " values (:id, :person, :by, :now, :now) on conflict do nothing",
        id=export_id,
        person=person,
        by=requested_by,
        now=now,
    )


def has_account(tx: Tx, person: UUID) -> bool:
    """Whether there is such a person."""
    return bool(tx.value("select true from users where id = :id", id=person))


def open_for(tx: Tx, person: UUID) -> UUID | None:
    """The person's export that is not made yet."""
    found: UUID | None = tx.value(
        "select id from exports where person_id = :person and state in ('QUEUED', 'RUNNING')",
        person=person,
    )
    return found


def get(source: Database | Tx, export_id: UUID) -> Row | None:
    """One export."""
    return source.one("select * from exports where id = :id", id=export_id)


def claim(tx: Tx, now: datetime) -> Row | None:
    """The next export to be made, leased: one that waits, or whose maker was not heard of."""
    return tx.one(
        f"""
        update exports
           set state = 'RUNNING', fence = fence + 1, tries = tries + 1, lease_until = :until,
               files_done = 0, bytes_done = 0,
               path = '{FOLDER}/' || person_id || '/' || id || '-' || (fence + 1) || '.zip'
         where id = (select id from exports
                      where state in ('QUEUED', 'RUNNING') and lease_until <= :now
                      order by lease_until limit 1 for update skip locked)
        returning *
        """,  # nosec B608
        now=now,
        until=now + _LEASE,
    )


def progress(tx: Tx, row: Row, now: datetime, done: tuple[int, int], of: tuple[int, int]) -> bool:
    """How many (files, bytes) are done of all, which renews the lease; False if it was lost."""
    changed = tx.run(
        "update exports set lease_until = :until, files_done = :files, bytes_done = :bytes,"
        " files_all = :files_all, bytes_all = :bytes_all"
        " where id = :id and fence = :fence and state = 'RUNNING'",
        until=now + _LEASE,
        files=done[0],
        bytes=done[1],
        files_all=of[0],
        bytes_all=of[1],
        id=row["id"],
        fence=row["fence"],
    )
    return changed == 1


def mark_ready(tx: Tx, row: Row, size: int, now: datetime, expires_at: datetime) -> bool:
    """The archive is whole; False if somebody else makes it, or the person was erased."""
    changed = tx.run(
        "update exports set state = 'READY', size = :size, settled_at = :now,"
        " expires_at = :expires_at where id = :id and fence = :fence and state = 'RUNNING'",
        size=size,
        now=now,
        expires_at=expires_at,
        id=row["id"],
        fence=row["fence"],
    )
    return changed == 1


def give_back(tx: Tx, row: Row, now: datetime, again_at: datetime | None, failure: str) -> None:
    """This try failed: another one comes ``again_at``, or none does."""
    tx.run(
        "update exports set state = case when :again::timestamptz is null then 'FAILED'"
        " else 'QUEUED' end, lease_until = coalesce(:again, lease_until), failure = :failure,"
        " settled_at = case when :again is null then :now::timestamptz end, path = null"
        " where id = :id and fence = :fence and state = 'RUNNING'",
        again=again_at,
        failure=failure,
        now=now,
        id=row["id"],
        fence=row["fence"],
    )


def expire(tx: Tx, now: datetime) -> list[str]:
    """Archives that were kept for long enough expire; their paths."""
    rows = tx.all(
        "with old as (select id, path from exports where state = 'READY' and expires_at <= :now"
        " order by expires_at limit 100 for update skip locked)"
        " update exports e set state = 'EXPIRED', path = null from old where e.id = old.id"
        " returning old.path",
        now=now,
    )
    return [row["path"] for row in rows]


def drop_old(tx: Tx, before: datetime) -> int:
    """Forget what was settled before then."""
    return tx.run(
        "delete from exports where state in ('FAILED', 'EXPIRED') and settled_at < :before",
        before=before,
    )


def paths(db: Database) -> set[str]:
    """The objects that are there with good reason."""
    rows = db.all("select path from exports where state in ('RUNNING', 'READY')")
    return {row["path"] for row in rows if row["path"]}


def forget(tx: Tx, person: UUID) -> Mapping[str, int]:  # noqa: ARG001 -- nothing is held
    """Archives of somebody who is erased go. One that is being made has lost its row: its maker
    deletes it."""
    return {"archives": objects().delete_all(f"{FOLDER}/{person}")}
