"""Who comes and who goes: addresses that may be early or late, and people who were removed."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from functions.patient.store.history import EmailFollowed, note
from functions.patient.store.records import adopt
from shared.db import Tx
from shared.runtime import vault

__all__ = ["arrive", "lock", "purge_early_emails", "remove", "set_email"]

_ARRIVE = """
with e as (
  delete from early_emails where patient_id = :patient_id returning email, email_version)
select exists (select from removed_patients where patient_id = :patient_id) as removed,
       e.email, e.email_version
  from (select) as always left join e on true
"""

_SET_EMAIL = """
update patients p
   set email = :email, email_version = :email_version, version = p.version + 1,
       facts = p.facts + 1, updated_at = now()
  from subject_keys k
 where p.patient_id = :patient_id and p.email_version < :email_version and p.facts > 0
   and k.subject = p.patient_id
returning p.facts, k.version as key_version, k.wrapped as key_wrapped
"""

_KEEP_EARLY_EMAIL = """
insert into early_emails (patient_id, email, email_version)
select :patient_id::uuid, :email, :email_version::integer
 where not exists (select from patients where patient_id = :patient_id::uuid)
   and not exists (select from removed_patients where patient_id = :patient_id::uuid)
on conflict (patient_id) do update
   set email = excluded.email, email_version = excluded.email_version
 where early_emails.email_version < excluded.email_version
"""


def lock(tx: Tx, patient_id: UUID) -> None:
    """Wait for whoever else decides whether this person exists; held until the end.

    In a statement of its own, so that the next one sees what the other has committed.
    """
    tx.run("select pg_advisory_xact_lock(hashtextextended(:key, 0))", key=f"patient {patient_id}")


def set_email(tx: Tx, patient_id: UUID, email: str, email_version: int, since: datetime) -> bool:
    """The replica of auth's address, if it is newer, as it is ``since``; kept aside while there is
    no profile."""
    params = {"patient_id": patient_id, "email": email, "email_version": email_version}
    if _followed(tx, params, since):
        return True
    # An older address, or no profile: only under the lock is it certain which. Or no history yet.
    lock(tx, patient_id)
    adopt(tx, patient_id)
    return _followed(tx, params, since) or bool(tx.run(_KEEP_EARLY_EMAIL, **params))


def arrive(tx: Tx, patient_id: UUID) -> tuple[bool, tuple[str, int] | None]:
    """Whether this is somebody who must not come back, and the address that came before the
    profile, with its version; it is kept no longer."""
    row = tx.one(_ARRIVE, patient_id=patient_id)
    if row is None:
        raise AssertionError("a row comes back, whoever arrives")
    early = None if row["email"] is None else (row["email"], row["email_version"])
    return row["removed"], early


def purge_early_emails(tx: Tx) -> int:
    """A registration ends within minutes: what is a day old belongs to nobody who comes."""
    return tx.run("delete from early_emails where received_at < now() - interval '1 day'")


def remove(tx: Tx, patient_id: UUID) -> None:
    """Delete the person's rows and remember that they must not come back."""
    tx.run(
        "with e as (delete from early_emails where patient_id = :patient_id),"
        " p as (delete from patients where patient_id = :patient_id)"
        " insert into removed_patients (patient_id) values (:patient_id) on conflict do nothing",
        patient_id=patient_id,
    )


def _followed(tx: Tx, params: dict[str, Any], since: datetime) -> bool:
    row = tx.one(_SET_EMAIL, **params)
    if row is None:
        return False
    patient_id: UUID = params["patient_id"]
    key = vault("patient").subject(patient_id, row["key_version"], row["key_wrapped"])
    fact = EmailFollowed(email=params["email"], email_version=params["email_version"])
    note(tx, key, patient_id, fact, facts=row["facts"], since=since)
    return True
