"""A patient's allergies. They share the record's version and its history."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from pydantic import TypeAdapter

from functions.patient.domain import NOT_ASKED, Allergy, AllergyList, ListStatus
from functions.patient.store import records
from functions.patient.store.history import AllergiesChanged
from shared.audit import audited, who
from shared.crypto import Subject, Vault
from shared.db import Database, Row, Tx

__all__ = ["known", "read", "show", "update"]

_READ = """
select p.patient_id, p.version, a.status, a.allergies,
       k.version as key_version, k.wrapped as key_wrapped
  from patients p
  left join patient_allergies a on a.patient_id = p.patient_id
  left join subject_keys k on k.subject = p.patient_id
 where p.patient_id = :patient_id
"""
_SHOW = audited(_READ, action="read", what="allergies", person="patient_id")

_UPDATE = """
with p as (
  update patients set version = version + 1, facts = facts + 1, updated_at = now()
   where patient_id = :patient_id and version = :version and facts > 0
  returning patient_id, version, facts),
a as (
  insert into patient_allergies (patient_id, status, allergies)
  select patient_id, :status, :allergies from p
  on conflict (patient_id) do update
     set status = excluded.status, allergies = excluded.allergies)
select version, facts from p
"""

_ALLERGIES: TypeAdapter[list[Allergy]] = TypeAdapter(list[Allergy])


def show(source: Database | Tx, patient_id: UUID) -> Row | None:
    """The sealed row with its key, for ``known``, to be shown to whoever acts."""
    return source.one(_SHOW, patient_id=patient_id, **who())


def read(tx: Tx, patient_id: UUID) -> Row | None:
    """The same, shown to nobody."""
    return tx.one(_READ, patient_id=patient_id)


def known(row: Row, vault: Vault) -> tuple[AllergyList, Subject]:
    """The list in a row of ``read``, and the key that opened it. Raises Unreadable, Unavailable."""
    key = vault.subject(row["patient_id"], row["key_version"], row["key_wrapped"])
    if row["status"] is None:
        return NOT_ASKED, key
    status = cast("ListStatus", key.unseal("status", row["status"]))
    return AllergyList(
        status, _ALLERGIES.validate_json(key.open("allergies", row["allergies"]))
    ), key


def update(tx: Tx, key: Subject, patient_id: UUID, version: int, listed: AllergyList) -> int | None:
    """Save ``listed`` over the record's ``version``: the next version, or None."""
    columns: dict[str, Any] = {
        "status": key.seal("status", listed.status),
        "allergies": key.seal("allergies", _ALLERGIES.dump_json(listed.allergies).decode()),
    }
    fact = AllergiesChanged(allergies=listed)
    return records.written(tx, _UPDATE, key, patient_id, fact, version=version, **columns)
