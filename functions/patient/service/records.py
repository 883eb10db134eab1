"""Reading and changing one patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from functions.patient.domain import Anamnesis, Record, changed
from functions.patient.store import records
from shared import audit
from shared.contracts.patient import AnamnesisUpdated, NationalIdCorrected, PatientUpdated
from shared.crypto import Subject
from shared.db import Row, Tx, UniqueViolation
from shared.errors import NotFound, StaleVersion
from shared.pages import Page, PageQuery
from shared.runtime import database, vault

__all__ = ["accesses", "change", "read", "read_anamnesis", "write_anamnesis"]


def read(patient_id: UUID, *, anamnesis: bool) -> Record:
    """The patient; the anamnesis is not even fetched for whom it does not concern.

    Raises NotFound.
    """
    what: records.What = "profile, anamnesis" if anamnesis else "profile"
    return _record(records.show(database("patient"), patient_id, what))[0]


def read_anamnesis(patient_id: UUID) -> Record:
    """The patient, of whom only the anamnesis is shown. Raises NotFound."""
    return _record(records.show(database("patient"), patient_id, "anamnesis"))[0]


def change(patient_id: UUID, version: int, wanted: Mapping[str, Any], *, anamnesis: bool) -> Record:
    """Change these fields of the profile; nothing happens where all of them are so already.

    The answer shows the record, so it is a read, too. Raises NotFound, StaleVersion,
    NationalIdTaken.
    """
    what: records.What = "profile, anamnesis" if anamnesis else "profile"

    def work(tx: Tx) -> Record:
        old, key = _record(records.show(tx, patient_id, what))
        if old.version != version:
            raise StaleVersion
        profile, names = changed(old.profile, wanted)
        if not names:
            return old
        try:
            new = records.update_profile(tx, key, patient_id, version, profile, fields=names)
        except UniqueViolation as error:
            records.refused(error)
        if new is None:
            raise StaleVersion
        audit.record(tx, patient_id, "write", "profile")
        tx.emit(PatientUpdated(patient_id=patient_id, fields=names), version=new)
        if "national_id" in names:
            number = profile.national_id
            tx.emit(NationalIdCorrected(patient_id=patient_id, national_id=number), version=new)
        return replace(old, version=new, profile=profile)

    return database("patient").transaction(work)


def write_anamnesis(patient_id: UUID, version: int, anamnesis: Anamnesis) -> Record:
    """Replace the whole anamnesis. Raises NotFound, StaleVersion."""

    def work(tx: Tx) -> Record:
        old, key = _record(records.read(tx, patient_id))
        if old.version != version:
            raise StaleVersion
        new = records.update_anamnesis(tx, key, patient_id, version, anamnesis)
        if new is None:
            raise StaleVersion
        audit.record(tx, patient_id, "write", "anamnesis")
        tx.emit(AnamnesisUpdated(patient_id=patient_id), version=new)
        return replace(old, version=new, anamnesis=anamnesis)

    return database("patient").transaction(work)


def accesses(patient_id: UUID, query: PageQuery) -> Page[Row]:
    """Who did what with the record, newest first: as shared.audit has it. Raises BadRequest."""
    (before,) = query.after(tuple[int]) or (None,)
    rows = audit.accesses(database("patient"), patient_id, before=before, limit=query.limit + 1)
    return Page.of(rows, query.limit, lambda row: (row["id"],), lambda row: row)


def _record(row: Row | None) -> tuple[Record, Subject]:
    if row is None:
        raise NotFound("There is no such patient.")
    return records.record(row, vault("patient"))
