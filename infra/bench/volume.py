"""Patients for benchmarks: some with everything sealed, and a group's worth of names."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from functions.patient.domain import Anamnesis, Profile, search_name
from functions.patient.store import records
from infra import people
from shared.db import Tx
from shared.national_ids import NationalId
from shared.runtime import database, vault
from shared.types import uuid7

__all__ = ["Known", "insert_known", "insert_many"]

_BATCH = 2_000
_numbers = itertools.count()  # nobody is inserted twice
_SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe ri so tu va xe yi zo"

_MANY = """
with n as materialized (
  select * from json_to_recordset(:rows::json)
    as n(id uuid, first_name text, last_name text, name text, words json, birth text, key text)),
p as (
  insert into patients (patient_id, email, email_version, first_name, last_name, name,
                        birth_date, language)
  select id, id || '@example.com', 1, first_name, last_name, name, decode(birth, 'hex'), 'ro'
    from n
  returning patient_id),
a as (insert into patient_anamnesis (patient_id) select id from n),
k as (
  insert into subject_keys (subject, version, wrapped) select id, :version, decode(key, 'hex')
    from n),
w as (
  insert into patient_words (word, name, patient_id)
  select distinct word, n.name, n.id from n, json_array_elements_text(n.words) as word)
select count(*) from p
"""


@dataclass(frozen=True)
class Known:
    """A patient with every field sealed, and a text that only who decrypts can answer with."""

    patient_id: UUID
    secret: str


def insert_known(count: int) -> list[Known]:
    """Patients as the service itself inserts them, with national id, phone and anamnesis."""
    made: list[Known] = []
    for _ in range(count):
        number = next(_numbers)
        person = people.patient(number)
        known = Known(uuid7(), f"allergy number {number} of nobody")
        profile = Profile(
            person["first_name"],
            person["last_name"],
            NationalId.parse(person["national_id"]).value,
            person["phone"],
            date.fromisoformat(person["birth_date"]),
        )
        told = Anamnesis(allergies=known.secret, medications="metformin 500 mg", notes="bruxism")

        def work(
            tx: Tx, known: Known = known, profile: Profile = profile, told: Anamnesis = told
        ) -> None:
            key = vault("patient").new_subject(tx, known.patient_id)
            name = f"{known.patient_id}@example.com"
            records.insert(tx, key, known.patient_id, profile, told, email=name, email_version=1)

        database("patient").transaction(work)
        made.append(known)
    return made


def insert_many(count: int) -> list[tuple[str, str]]:
    """``count`` patients with names only, in bulk; their first and last names."""
    names = list(_names(count))
    for start in range(0, count, _BATCH):
        _insert_batch(names[start : start + _BATCH])
    return names


def _names(count: int) -> Iterator[tuple[str, str]]:
    """Two thirds rare last names, four fifths common first names, as registers have them."""
    chance = random.Random(7)  # nosec B311
    syllables = _SYLLABLES.split()
    rare = ["".join(chance.choices(syllables, k=chance.randint(2, 4))).title() for _ in range(8000)]
    for number in range(count):
        common = people.patient(number)
        first = common["first_name"] if chance.random() < 0.8 else chance.choice(rare)
        last = common["last_name"] if chance.random() < 0.33 else chance.choice(rare)
        yield first, last


class _Kept:
    """Stands for a transaction: keeps the key's row, which then goes out with the batch."""

    wrapped = b""
    version = 0

    def one(self, sql: str, /, **params: object) -> dict[str, object]:
        """The insert of ``Vault.new_subject``."""
        wrapped, version = params["wrapped"], params["version"]
        if not isinstance(wrapped, bytes) or not isinstance(version, int):
            raise TypeError(sql)
        self.wrapped, self.version = wrapped, version
        return {"subject": params["subject"]}

    def run(self, sql: str, /, **params: object) -> int:  # noqa: ARG002
        """Nothing is executed."""
        raise TypeError(sql)


def _insert_batch(names: list[tuple[str, str]]) -> None:
    keys, kept, rows = vault("patient"), _Kept(), []
    for number, (first, last) in enumerate(names):
        patient_id = uuid7()
        key = keys.new_subject(kept, patient_id)
        born = (date(1950, 1, 1) + timedelta(days=number * 11 % 20_000)).isoformat()
        birth = key.seal("birth_date", born) or b""
        name, words = search_name(first, last)
        rows.append(
            {
                "id": str(patient_id),
                "first_name": first,
                "last_name": last,
                "name": name,
                "words": words,
                "birth": birth.hex(),
                "key": kept.wrapped.hex(),
            }
        )
    database("patient").all(_MANY, rows=json.dumps(rows), version=kept.version)
