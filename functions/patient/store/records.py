"""One patient's rows: profile and anamnesis, always both. What changes them here notes it in the
history: there is no change without its fact."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any, Literal, NoReturn, cast
from uuid import UUID

from functions.patient.domain import (
    NO_ANAMNESIS,
    Anamnesis,
    NationalIdTaken,
    Profile,
    Record,
    search_name,
)
from functions.patient.store import history
from shared.audit import audited, who
from shared.crypto import Subject, Vault, blind_index
from shared.db import Database, Row, Tx, UniqueViolation
from shared.eventstore import Fact
from shared.runtime import vault
from shared.types import Language

__all__ = [
    "What",
    "adopt",
    "exists",
    "facts",
    "insert",
    "national_id_index",
    "read",
    "record",
    "refused",
    "show",
    "unseal_date",
    "update_anamnesis",
    "update_profile",
    "without_history",
    "written",
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

# One statement makes the person's rows, so that there is never one without the others.
_INSERT = """
with p as (
  insert into patients (patient_id, email, email_version, first_name, last_name, name,
                        national_id, national_id_index, phone, birth_date, language, facts)
  values (:patient_id, :email, :email_version, :first_name, :last_name, :name,
          :national_id, :national_id_index, :phone, :birth_date, :language, 1)
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
     set version = version + 1, facts = facts + 1, updated_at = now(), first_name = :first_name,
         last_name = :last_name, name = :name, national_id = :national_id,
         national_id_index = :national_id_index, phone = :phone, birth_date = :birth_date,
         language = :language
   where patient_id = :patient_id and version = :version and facts > 0
  returning patient_id, name, version, facts),
d as (
  delete from patient_words w using p where w.patient_id = p.patient_id and w.name <> p.name),
i as (
  insert into patient_words (word, name, patient_id)
  select word, p.name, p.patient_id from p, unnest(:words::text[]) as word
  on conflict do nothing)
select version, facts from p
"""

_UPDATE_ANAMNESIS = """
with p as (
  update patients set version = version + 1, facts = facts + 1, updated_at = now()
   where patient_id = :patient_id and version = :version and facts > 0
  returning patient_id, version, facts)
update patient_anamnesis a
   set allergies = :allergies, chronic_conditions = :chronic_conditions,
       medications = :medications, notes = :notes
  from p where a.patient_id = p.patient_id
returning p.version, p.facts
"""


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
    if made is None:
        return False
    fact = history.ProfileRegistered(
        profile=profile, anamnesis=anamnesis, email=email, email_version=email_version
    )
    history.note(tx, key, patient_id, fact, facts=1)
    return True


def update_profile(
    tx: Tx, key: Subject, patient_id: UUID, version: int, profile: Profile, *, fields: list[str]
) -> int | None:
    """Save ``profile``, of which ``fields`` are new, over ``version``: the next version, or None.
    Raises UniqueViolation."""
    fact = history.ProfileChanged(fields=fields, profile=profile)
    columns = _profile_columns(key, profile)
    return written(tx, _UPDATE_PROFILE, key, patient_id, fact, version=version, **columns)


def update_anamnesis(
    tx: Tx, key: Subject, patient_id: UUID, version: int, anamnesis: Anamnesis
) -> int | None:
    """Save ``anamnesis`` over ``version``: the next version, or None."""
    fact = history.AnamnesisChanged(anamnesis=anamnesis)
    columns = _anamnesis_columns(key, anamnesis)
    return written(tx, _UPDATE_ANAMNESIS, key, patient_id, fact, version=version, **columns)


def exists(db: Database, patient_id: UUID) -> bool:
    """Is there such a patient? It shows nothing of them."""
    return db.one("select from patients where patient_id = :id", id=patient_id) is not None


def facts(tx: Tx, patient_id: UUID) -> int | None:
    """How many facts the patient's history has; None: there is no such patient."""
    found = tx.value("select facts from patients where patient_id = :id", id=patient_id)
    return None if found is None else int(found)


def without_history(db: Database, after: UUID, limit: int) -> list[UUID]:
    """The next patients behind ``after`` who have none."""
    rows = db.all(
        "select patient_id from patients where facts = 0 and patient_id > :after"
        " order by patient_id limit :limit",
        after=after,
        limit=limit,
    )
    return [row["patient_id"] for row in rows]


def adopt(tx: Tx, patient_id: UUID) -> bool:
    """Begin the history of a record that was made before there were any; False if it has one."""
    row = tx.one(
        "update patients set facts = 1 where patient_id = :id and facts = 0"
        " returning email_version",
        id=patient_id,
    )
    found = None if row is None else tx.one(_READ_ALL, patient_id=patient_id)
    if row is None or found is None:
        return False
    known, key = record(found, vault("patient"))
    fact = history.HistoryBegun(
        profile=known.profile,
        anamnesis=known.anamnesis or NO_ANAMNESIS,
        email=known.email,
        email_version=row["email_version"],
    )
    history.note(tx, key, patient_id, fact, facts=1)
    return True


def written(
    tx: Tx, sql: str, key: Subject, patient_id: UUID, fact: Fact, **params: Any
) -> int | None:
    """Make the change ``sql`` to the record's version and note ``fact``: the next version, or None
    where the record has another version."""
    row = tx.one(sql, patient_id=patient_id, **params)
    if row is None and adopt(tx, patient_id):
        row = tx.one(sql, patient_id=patient_id, **params)
    if row is None:
        return None
    history.note(tx, key, patient_id, fact, facts=row["facts"])
    return int(row["version"])


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
