"""Many patients at once, with names as common as real ones, through the service's own SQL."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from functions.patient.domain import NO_ANAMNESIS, Profile
from functions.patient.store import records
from shared.crypto import Vault
from shared.db import Database, Tx
from shared.types import uuid7

__all__ = ["FIRST", "LAST", "Person", "load"]


def _words(text: str) -> list[str]:
    return text.split()


_COMMON_FIRST = _words(
    "Maria Ana Ioana Elena Andreea Mihaela Cristina Alexandra Daniela Gabriela"
    " Ștefania Lucreția Andrei Ion Alexandru Mihai Ștefan Cristian Adrian Florin"
    " Gheorghe Vasile Răzvan Iulian Siti Dewi Putri Sri Agus Budi Adi Muhammad Nur Eka"
    " Wayan Ketut Made Rizky Bayu Fitri"
)
_COMMON_LAST = _words(
    "Popa Popescu Ionescu Pop Radu Dumitru Stan Stoica Gheorghe Matei Ciobanu Rusu"
    " Constantin Marin Lazăr Nițu Țurcanu Șerban Dobre Barbu Nistor Florea Enache"
    " Ungureanu Munteanu Wijaya Santoso Hidayat Saputra Setiawan Lestari Kusuma"
    " Siregar Nasution Simanjuntak"
)
_SYLLABLES = _words("ba ce di fo gu ha je ki lo mu na pe ri so tu va xe yi zo șa țe ră mân escu")


def _rare(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [
        "".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4))).capitalize()
        for _ in range(count)
    ]


FIRST = (*_COMMON_FIRST, *_rare(400, 1))
LAST = (*_COMMON_LAST, *_rare(8_000, 2))


@dataclass(frozen=True)
class Person:
    """Somebody in the database."""

    patient_id: UUID
    first_name: str
    last_name: str
    email: str


def load(db: Database, count: int, *, seed: int) -> list[Person]:
    """Insert ``count`` people: most first names and a third of the family names are common."""
    chance = random.Random(seed)
    people = [_person(chance, number) for number in range(count)]
    keys = Vault(db)
    for start in range(0, count, 500):
        batch = people[start : start + 500]
        born = [date(1940, 1, 1) + timedelta(days=chance.randrange(28_000)) for _ in batch]

        def work(tx: Tx, batch: list[Person] = batch, born: list[date] = born) -> None:
            for one, day in zip(batch, born, strict=True):
                profile = Profile(one.first_name, one.last_name, birth_date=day)
                records.insert(
                    tx,
                    keys.new_subject(tx, one.patient_id),
                    one.patient_id,
                    profile,
                    NO_ANAMNESIS,
                    email=one.email,
                    email_version=1,
                )

        db.transaction(work, isolation="READ COMMITTED")
    return people


def _person(chance: random.Random, number: int) -> Person:
    first = chance.choice(_COMMON_FIRST if chance.random() < 0.8 else FIRST)
    if chance.random() < 0.4:
        first = f"{first} {chance.choice(FIRST)}"
    last = chance.choice(_COMMON_LAST if chance.random() < 0.33 else LAST)
    if chance.random() < 0.1:
        last = f"{last}-{chance.choice(LAST)}"
    return Person(uuid7(), first, last, f"p{number}@example.com")
