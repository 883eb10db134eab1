"""What is left of uploads that came to nothing, and which objects are anybody's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from shared.db import Database, Row, Tx

__all__ = [
    "erased_lately",
    "expired",
    "forget_files",
    "kept_paths",
    "originals",
    "pending",
    "rejected",
    "remove",
]


def expired(source: Database, before: datetime, limit: int) -> list[Row]:
    """xray_id, patient_id of uploads whose URL ended ``before`` and that came to nothing."""
    return source.all(
        "select xray_id, patient_id from xrays"
        " where state in ('PENDING', 'REFUSED') and expires_at < :before"
        " order by expires_at limit :limit",
        before=before,
        limit=limit,
    )


def remove(tx: Tx, xray_id: UUID, before: datetime) -> bool:
    """Delete such a row; False if it is no such any more."""
    sql = (
        "delete from xrays where xray_id = :id and state in ('PENDING', 'REFUSED')"
        " and expires_at < :before"
    )
    return tx.run(sql, id=xray_id, before=before) == 1


def rejected(source: Database, limit: int) -> list[Row]:
    """xray_id, patient_id of images that were rejected and still have objects."""
    return source.all(
        "select distinct x.xray_id, x.patient_id from xrays x join xray_files f using (xray_id)"
        " where x.state = 'REJECTED' limit :limit",
        limit=limit,
    )


def forget_files(tx: Tx, xray_id: UUID) -> int:
    """Delete the rows of the objects of a rejected image, when they are gone."""
    return tx.run(
        "delete from xray_files f using xrays x"
        " where f.xray_id = :id and x.xray_id = :id and x.state = 'REJECTED'",
        id=xray_id,
    )


def pending(source: Database, ids: Iterable[UUID]) -> set[UUID]:
    """Those of ``ids`` whose upload may still be made or looked at."""
    rows = source.all(
        "select xray_id from xrays where xray_id = any(:ids::uuid[]) and state = 'PENDING'",
        ids=[str(each) for each in ids],
    )
    return {row["xray_id"] for row in rows}


def kept_paths(source: Database | Tx, patient_id: UUID) -> set[str]:
    """The objects that rows about a patient name."""
    rows = source.all("select path from xray_files where patient_id = :id", id=patient_id)
    return {row["path"] for row in rows}


def originals(tx: Tx, patient_id: UUID) -> list[Row]:
    """xray_id, path, content_type, size, sha256 of the files in a patient's record."""
    return tx.all(
        "select f.xray_id, f.path, f.content_type, f.size, f.sha256"
        "  from xray_files f join xrays x using (xray_id)"
        " where f.patient_id = :id and f.kind = 'original' and x.state = 'STORED'"
        " order by x.created_at, x.xray_id",
        id=patient_id,
    )


def erased_lately(source: Database, since: datetime) -> list[UUID]:
    """Who was erased ``since`` then."""
    rows = source.all("select person_id from erased_people where erased_at > :since", since=since)
    return [row["person_id"] for row in rows]
