"""The clinics of the group."""

from __future__ import annotations

from uuid import UUID

from shared.db import Database, Row, Tx

__all__ = ["get", "insert", "listing", "tell", "untold", "update"]

_COLUMNS = "id, name, address, time_zone, languages, version"


def insert(
    tx: Tx, clinic_id: UUID, *, name: str, address: str, zone: str, langs: list[str]
) -> None:
    """A new clinic. Raises UniqueViolation when the name is taken."""
    tx.run(
        "insert into clinics (id, name, address, time_zone, languages, told)"
        " values (:id, :name, :address, :zone, :langs, true)",
        id=clinic_id,
        name=name,
        address=address,
        zone=zone,
        langs=langs,
    )


def update(
    tx: Tx, clinic_id: UUID, version: int, *, name: str, address: str, zone: str, langs: list[str]
) -> Row | None:
    """Replace a clinic's data if it still has ``version``; None if not."""
    return tx.one(
        "update clinics set name = :name, address = :address, time_zone = :zone,"
        " languages = :langs, version = version + 1, told = true"
        " where id = :id and version = :version"
        " returning id, name, address, time_zone, languages, version",
        id=clinic_id,
        version=version,
        name=name,
        address=address,
        zone=zone,
        langs=langs,
    )


def get(db: Database, clinic_id: UUID) -> Row | None:
    """One clinic."""
    return db.one(f"select {_COLUMNS} from clinics where id = :id", id=clinic_id)  # nosec


def listing(db: Database, after: tuple[str, UUID] | None, limit: int) -> list[Row]:
    """Clinics by name."""
    name, clinic_id = after or (None, None)
    return db.all(
        f"select {_COLUMNS} from clinics"  # nosec
        " where :name::text is null or (name, id) > (:name, :id::uuid)"
        " order by name, id limit :limit",
        name=name,
        id=clinic_id,
        limit=limit,
    )


def untold(db: Database) -> list[UUID]:
    """Up to 100 clinics that others have not been told of."""
    rows = db.all("select id from clinics where not told order by id limit 100")
    return [row["id"] for row in rows]


def tell(tx: Tx, clinic_id: UUID) -> Row | None:
    """Mark the clinic as told of, and return it; None where that was done."""
    return tx.one(
        f"update clinics set told = true where id = :id and not told returning {_COLUMNS}",  # nosec
        id=clinic_id,
    )
