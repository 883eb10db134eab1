"""A patient's profile and anamnesis, and how names are found. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from shared.errors import Conflict, Invalid
from shared.types import Language, fold

__all__ = [
    "NOT_ASKED",
    "NO_ANAMNESIS",
    "Allergy",
    "AllergyList",
    "Anamnesis",
    "Criticality",
    "ListStatus",
    "NationalIdTaken",
    "PatientRemoved",
    "Profile",
    "Record",
    "Text",
    "Verification",
    "by_own_word",
    "changed",
    "search_name",
    "search_words",
]

# A name and its longest word share one index row, which PostgreSQL limits to 2,704 bytes
# (4 bytes a letter at most). Real names are far below: two of 100 letters fit.
_NAME_LENGTH = 320
_WORD_LENGTH = 100
_QUERY_WORDS = 10


Text = Annotated[str, Field(max_length=10_000)]
"""As much as one part of an anamnesis may say."""


class NationalIdTaken(Conflict):
    """Another patient has this national id."""


class PatientRemoved(Conflict):
    """This person was removed and does not come back."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Who somebody is, apart from the e-mail address, which is auth's."""

    first_name: str
    last_name: str
    national_id: str | None = None
    phone: str | None = None
    birth_date: date | None = None
    language: Language = "en"


@dataclass(frozen=True, slots=True)
class Anamnesis:
    """The medical history as told, free text; None where nothing was said."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    allergies: Text | None = None
    chronic_conditions: Text | None = None
    medications: Text | None = None
    notes: Text | None = None


NO_ANAMNESIS = Anamnesis()


Criticality = Literal["low", "high", "unable-to-assess"]
"""What a future reaction might be (FHIR R5 AllergyIntolerance.criticality)."""

Verification = Literal["unconfirmed", "presumed", "confirmed", "refuted", "entered-in-error"]
"""How sure one is (FHIR R5 AllergyIntolerance.verificationStatus)."""

ListStatus = Literal["UNKNOWN", "NONE_KNOWN", "LISTED"]
"""Nobody has asked; somebody has, and there are none; these are known. An empty list alone would
not tell the first from the second."""


@dataclass(frozen=True, slots=True)
class Allergy:
    """One substance or group of substances: an ATC code, a name, or both."""

    allergy_id: UUID
    code: str | None
    name: str | None
    criticality: Criticality
    verification: Verification
    reaction: str | None


@dataclass(frozen=True, slots=True)
class AllergyList:
    """What somebody is allergic to; empty unless the status is LISTED."""

    status: ListStatus
    allergies: list[Allergy]


NOT_ASKED = AllergyList("UNKNOWN", [])


def by_own_word(known: AllergyList, wanted: AllergyList) -> bool:
    """May somebody who is no dentist make ``wanted`` of ``known``?

    Whoever says what they are allergic to adds to what dentists have confirmed, refuted or called
    an error, and changes nothing of it; a line of their own is unconfirmed. A prescription is
    checked against this list.
    """
    settled = [line for line in known.allergies if line.verification != "unconfirmed"]
    said = [line for line in wanted.allergies if line not in settled]
    return all(line in wanted.allergies for line in settled) and all(
        line.verification == "unconfirmed" for line in said
    )


@dataclass(frozen=True, slots=True)
class Record:
    """One patient at one version. ``anamnesis`` is None where the reader may not see it."""

    patient_id: UUID
    version: int
    email: str | None
    profile: Profile
    anamnesis: Anamnesis | None


def changed(profile: Profile, wanted: Mapping[str, Any]) -> tuple[Profile, list[str]]:
    """``profile`` with the ``wanted`` fields, and the names of those that really change."""
    new = replace(profile, **wanted)
    return new, [
        field.name
        for field in fields(Profile)
        if getattr(new, field.name) != getattr(profile, field.name)
    ]


def search_name(first_name: str, last_name: str) -> tuple[str, list[str]]:
    """The folded name between spaces, family name first, and its words, each once."""
    folded = fold(f"{last_name} {first_name}")[:_NAME_LENGTH]
    words = [word[:_WORD_LENGTH] for word in folded.split()]
    return f" {' '.join(words)} ", list(dict.fromkeys(words))


def search_words(query: str) -> list[str]:
    """The folded words of ``query`` that a name must begin words with.

    A word that begins another one of the query asks for nothing more and is left out.
    Raises Invalid when none is left, or too many are.
    """
    words = sorted({word[:_WORD_LENGTH] for word in fold(query).split()})
    words = [word for word, following in pairwise([*words, ""]) if not following.startswith(word)]
    if not 1 <= len(words) <= _QUERY_WORDS:
        detail = "no letters to search for" if not words else f"at most {_QUERY_WORDS} words"
        raise Invalid(errors=[{"pointer": "/query", "detail": detail}])
    return words
