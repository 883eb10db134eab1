"""The clinics of the group."""

from __future__ import annotations

from uuid import UUID

from functions.auth.store import clinics as store
from shared.contracts.auth import ClinicUpdated
from shared.db import Row, Tx, UniqueViolation
from shared.errors import Conflict, NotFound, StaleVersion
from shared.runtime import database
from shared.types import uuid7

__all__ = ["NameTaken", "create", "get", "tell_untold", "update"]


class NameTaken(Conflict):
    """A clinic of this name exists."""


def create(*, name: str, address: str, zone: str, langs: list[str]) -> Row:
    """Add a clinic. Raises NameTaken."""
    clinic_id = uuid7()

    def work(tx: Tx) -> None:
        store.insert(tx, clinic_id, name=name, address=address, zone=zone, langs=langs)
        made = {"id": clinic_id, "name": name, "time_zone": zone, "languages": langs, "version": 1}
        _tell(tx, made)

    try:
        database("auth").transaction(work)
    except UniqueViolation:
        raise NameTaken from None
    return get(clinic_id)


def get(clinic_id: UUID) -> Row:
    """One clinic. Raises NotFound."""
    row = store.get(database("auth"), clinic_id)
    if row is None:
        raise NotFound("There is no such clinic.")
    return row


def update(
    clinic_id: UUID, version: int, *, name: str, address: str, zone: str, langs: list[str]
) -> Row:
    """Replace a clinic's data. Raises NotFound, StaleVersion, NameTaken."""

    def work(tx: Tx) -> Row | None:
        row = store.update(
            tx, clinic_id, version, name=name, address=address, zone=zone, langs=langs
        )
        if row is not None:
            _tell(tx, row)
        return row

    try:
        row = database("auth").transaction(work, isolation="READ COMMITTED")
    except UniqueViolation:
        raise NameTaken from None
    if row is None:
        get(clinic_id)
        raise StaleVersion
    return row


def tell_untold() -> int:
    """Tell others of clinics that were made before anybody was told of one; how many."""
    told = 0
    for clinic_id in store.untold(database("auth")):

        def work(tx: Tx, clinic_id: UUID = clinic_id) -> bool:
            row = store.tell(tx, clinic_id)
            if row is not None:
                _tell(tx, row)
            return row is not None

        told += database("auth").transaction(work, isolation="READ COMMITTED")
    return told


def _tell(tx: Tx, row: Row) -> None:
    """Of the clinic as ``tx`` leaves it; it has made or changed the row."""
    event = ClinicUpdated(
        clinic_id=row["id"],
        name=row["name"],
        time_zone=row["time_zone"],
        languages=row["languages"],
    )
    tx.emit(event, version=row["version"])
