"""Reading and writing the list of a patient's allergies."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

from functions.patient.domain import AllergyList, by_own_word
from functions.patient.store import allergies
from shared import audit
from shared.contracts.patient import AllergiesUpdated, Allergy
from shared.crypto import Subject
from shared.db import Row, Tx
from shared.errors import Forbidden, NotFound, StaleVersion
from shared.runtime import database, vault

__all__ = ["read", "write"]


def read(patient_id: UUID) -> tuple[AllergyList, int]:
    """The list, and the record's version. Raises NotFound."""
    row = _found(allergies.show(database("patient"), patient_id))
    return _known(row)[0], row["version"]


def write(patient_id: UUID, version: int, listed: AllergyList, *, dentist: bool) -> int:
    """Replace the whole list; the record's next version. Raises NotFound, StaleVersion, and
    Forbidden where a ``dentist`` has to say so."""

    def work(tx: Tx) -> int:
        row = _found(allergies.read(tx, patient_id))
        if row["version"] != version:
            raise StaleVersion
        known, key = _known(row)
        if not (dentist or by_own_word(known, listed)):
            raise Forbidden("A dentist confirms, refutes or removes what is established.")
        new = allergies.update(tx, key, patient_id, version, listed)
        if new is None:
            raise StaleVersion
        audit.record(tx, patient_id, "write", "allergies")
        told = [Allergy.model_validate(asdict(one)) for one in listed.allergies]
        tx.emit(
            AllergiesUpdated(patient_id=patient_id, status=listed.status, allergies=told),
            version=new,
        )
        return new

    return database("patient").transaction(work)


def _found(row: Row | None) -> Row:
    if row is None:
        raise NotFound("There is no such patient.")
    return row


def _known(row: Row) -> tuple[AllergyList, Subject]:
    return allergies.known(row, vault("patient"))
