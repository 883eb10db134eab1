"""One patient's rows: profile and anamnesis, always both; who was removed; early e-mails."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any, Literal, NoReturn, cast
from uuid import UUID

from functions.patient.domain import Anamnesis, NationalIdTaken, Profile, Record, search_name
from shared.audit import audited, who
from shared.crypto import Subject, Vault, blind_index
from shared.db import Database, Row, Tx, UniqueViolation
from shared.types import Language

__all__ = [
    "What",
    "arrive",
    "insert",
    "lock",
    "national_id_index",
    "purge_early_emails",
    "read",
    "record",
    "refused",
    "remove",
    "set_email",
    "show",
    "unseal_date",
    "update_anamnesis",
    "update_profile",
]

What = Literal["profile", "profile, anamnesis", "anamnesis"]
"""What a read shows of a patient."""

_READ_PROFILE = """
select p.patient_id, p.version, p.email, p.first_name, p.last_name, p.national_id, p.phone,
       p.birth_date, p.language, k.version as key_version, k.wrapped as key_wrapped
  from patients p
  left join subject_keys k on k.subject = p.patient_id
 where p.patient_id = :patient_id
"""
_READ_ALL = """
select p.patient_id, p.version, p.email, p.first_name, p.last_name, p.national_id, p.phone,
       p.birth_date, p.language, k.version as key_version, k.wrapped as key_wrapped,
       a.allergies, a.chronic_conditions, a.medications, a.notes
  from patients p
  join patient_anamnesis a on a.patient_id = p.patient_id
  left join subject_keys k on k.subject = p.patient_id
 where p.patient_id = :patient_id
"""
# One round trip: the row, its key, and the audit's row.
_SHOW = {
    what: audited(sql, action="read", what=what, person="patient_id")
    for what, sql in (
        ("profile", _READ_PROFILE),
        ("profile, anamnesis", _READ_ALL),
        ("anamnesis", _READ_ALL),
    )
}

_ARRIVE = """
with e as (
  delete from early_emails where patient_id = :patient_id returning email, email_version)
select exists (select from removed_patients where patient_id = :patient_id) as removed,
       e.email, e.email_version
  from (select) as always left join e on true
"""

# One statement makes the person's rows, so that there is never one without the others.
_INSERT = """
with p as (
  insert into patients (patient_id, email, email_version, first_name, last_name, name,
                        national_id, national_id_index, phone, birth_date, language)
  values (:patient_id, :email, :email_version, :first_name, :last_name, :name,
          :national_id, :national_id_index, :phone, :birth_date, :language)
  on conflict (patient_id) do nothing
  returning patient_id, name),
a as (
  insert into patient_anamnesis (patient_id, allergies, chronic_conditions, medications, notes)
  select patient_id, :allergies, :chronic_conditions, :medications, :notes from p),
w as (
  insert into patient_words (word, name, patient_id)
  select word, p.name, p.patient_id from p, unnest(:words::text[]) as word)
select patient_id from p
"""

# Words that stay under an unchanged name are left alone, or they would be inserted before they
# are deleted: both see the table as it was.
_UPDATE_PROFILE = """
with p as (
  update patients
     set version = version + 1, updated_at = now(), first_name = :first_name,
         last_name = :last_name, name = :name, national_id = :national_id,
         national_id_index = :national_id_index, phone = :phone, birth_date = :birth_date,
         language = :language
   where patient_id = :patient_id and version = :version
  returning patient_id, name, version),
d as (
  delete from patient_words w using p where w.patient_id = p.patient_id and w.name <> p.name),
i as (
  insert into patient_words (word, name, patient_id)
  select word, p.name, p.patient_id from p, unnest(:words::text[]) as word
  on conflict do nothing)
select version from p
"""

_UPDATE_ANAMNESIS = """
with p as (
  update patients set version = version + 1, updated_at = now()
   where patient_id = :patient_id and version = :version
  returning patient_id, version)
update patient_anamnesis a
   set allergies = :allergies, chronic_conditions = :chronic_conditions,
       medications = :medications, notes = :notes
  from p where a.patient_id = p.patient_id
returning p.version
"""

_SET_EMAIL = """
update patients
   set email = :email, email_version = :email_version, version = version + 1, updated_at = now()
 where patient_id = :patient_id and email_version < :email_version
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


def refused(error: UniqueViolation) -> NoReturn:
    """Say in our words what PostgreSQL refused. Raises NationalIdTaken, or ``error``."""
    if error.constraint == "patients_national_id":
        raise NationalIdTaken from None
    raise error


def show(source: Database | Tx, patient_id: UUID, what: What) -> Row | None:
    """The sealed row with its key, for ``record``, to be shown to whoever acts."""
    return source.one(_SHOW[what], patient_id=patient_id, **who())


def read(tx: Tx, patient_id: UUID) -> Row | None:
    """The same without the anamnesis, and shown to nobody."""
    return tx.one(_READ_PROFILE, patient_id=patient_id)


def record(row: Row, vault: Vault) -> tuple[Record, Subject]:
    """The patient in a row of ``read``, and the key that opened it.

    Raises Unreadable when the key is gone, Unavailable.
    """
    key = vault.subject(row["patient_id"], row["key_version"], row["key_wrapped"])
    profile = Profile(
        first_name=row["first_name"],
        last_name=row["last_name"],
        national_id=key.unseal("national_id", row["national_id"]),
        phone=key.unseal("phone", row["phone"]),
        birth_date=unseal_date(key, row["birth_date"]),
        language=cast("Language", row["language"]),
    )
    told = None
    if "notes" in row:
        told = Anamnesis(
            allergies=key.unseal("allergies", row["allergies"]),
            chronic_conditions=key.unseal("chronic_conditions", row["chronic_conditions"]),
            medications=key.unseal("medications", row["medications"]),
            notes=key.unseal("notes", row["notes"]),
        )
    return Record(row["patient_id"], row["version"], row["email"], profile, told), key


def insert(
    tx: Tx,
    key: Subject,
    patient_id: UUID,
    profile: Profile,
    anamnesis: Anamnesis,
    *,
    email: str | None,
    email_version: int,
) -> bool:
    """Make a patient at version 1; False if there is one. Raises UniqueViolation."""
    made = tx.one(
        _INSERT,
        patient_id=patient_id,
        email=email,
        email_version=email_version,
        **_profile_columns(key, profile),
        **_anamnesis_columns(key, anamnesis),
    )
    return made is not None


def update_profile(
    tx: Tx, key: Subject, patient_id: UUID, version: int, profile: Profile
) -> int | None:
    """Save ``profile`` over ``version``: the next version, or None. Raises UniqueViolation."""
    found = tx.value(
        _UPDATE_PROFILE, patient_id=patient_id, version=version, **_profile_columns(key, profile)
    )
    return None if found is None else int(found)


def update_anamnesis(
    tx: Tx, key: Subject, patient_id: UUID, version: int, anamnesis: Anamnesis
) -> int | None:
    """Save ``anamnesis`` over ``version``: the next version, or None."""
    columns = _anamnesis_columns(key, anamnesis)
    found = tx.value(_UPDATE_ANAMNESIS, patient_id=patient_id, version=version, **columns)
    return None if found is None else int(found)


def set_email(tx: Tx, patient_id: UUID, email: str, email_version: int) -> bool:
    """The replica of auth's address, if it is newer; kept aside while there is no profile."""
    params = {"patient_id": patient_id, "email": email, "email_version": email_version}
    if tx.run(_SET_EMAIL, **params):
        return True
    # An older address, or no profile: only under the lock is it certain which.
    lock(tx, patient_id)
    return bool(tx.run(_SET_EMAIL, **params) or tx.run(_KEEP_EARLY_EMAIL, **params))


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


def national_id_index(national_id: str) -> bytes:
    """What a national id is found by."""
    return blind_index("patient.national_id", national_id)


def unseal_date(key: Subject, sealed: bytes | None) -> date | None:
    """The birth date in a ``birth_date`` column."""
    text = key.unseal("birth_date", sealed)
    return None if text is None else date.fromisoformat(text)


def _profile_columns(key: Subject, profile: Profile) -> dict[str, Any]:
    """The columns of ``patients`` that a profile fills, and ``words`` for ``patient_words``."""
    name, words = search_name(profile.first_name, profile.last_name)
    number, born = profile.national_id, profile.birth_date
    return {
        "first_name": profile.first_name,
        "last_name": profile.last_name,
        "name": name,
        "words": words,
        "national_id": key.seal("national_id", number),
        "national_id_index": None if number is None else national_id_index(number),
        "phone": key.seal("phone", profile.phone),
        "birth_date": key.seal("birth_date", None if born is None else born.isoformat()),
        "language": profile.language,
    }


def _anamnesis_columns(key: Subject, anamnesis: Anamnesis) -> dict[str, bytes | None]:
    return {name: key.seal(name, text) for name, text in asdict(anamnesis).items()}
