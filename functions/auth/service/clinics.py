"""The clinics of the group."""

from __future__ import annotations

from uuid import UUID

from functions.auth.store import clinics as store
from shared.db import Row, Tx, UniqueViolation
from shared.errors import Conflict, NotFound, StaleVersion
from shared.runtime import database
from shared.types import uuid7

__all__ = ["NameTaken", "create", "get", "update"]


class NameTaken(Conflict):
    """A clinic of this name exists."""


def create(*, name: str, address: str, zone: str, langs: list[str]) -> Row:
    """Add a clinic. Raises NameTaken."""
    clinic_id = uuid7()

    def work(tx: Tx) -> None:
        store.insert(tx, clinic_id, name=name, address=address, zone=zone, langs=langs)

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
        return store.update(
            tx, clinic_id, version, name=name, address=address, zone=zone, langs=langs
        )

    try:
        row = database("auth").transaction(work, isolation="READ COMMITTED")
    except UniqueViolation:
        raise NameTaken from None
    if row is None:
        get(clinic_id)
        raise StaleVersion
    return row
