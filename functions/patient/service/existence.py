"""Whether there is such a patient."""

from __future__ import annotations

from uuid import UUID

from functions.patient.store import records
from shared.errors import NotFound
from shared.runtime import database

__all__ = ["must_exist"]


def must_exist(patient_id: UUID) -> None:
    """Return if there is such a patient, showing nothing of them. Raises NotFound."""
    if not records.exists(database("patient"), patient_id):
        raise NotFound("There is no such patient.")
