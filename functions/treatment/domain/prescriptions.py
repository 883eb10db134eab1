"""What a prescription says, and its directions in words. Pure.

The shape follows FHIR R5 MedicationRequest: dosageInstruction (doseAndRate, timing.repeat with
frequency, period and periodUnit, asNeeded, route) and dispenseRequest.numberOfRepeatsAllowed.
Routes are a choice of EDQM's standard terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from functions.treatment.domain.allergies import Conflicting, Drug
from shared.errors import Conflict
from shared.types import Language

__all__ = [
    "AllergiesUnknown",
    "AllergyConflict",
    "Content",
    "Dose",
    "Duration",
    "NotIssued",
    "Route",
    "Status",
    "Timing",
    "directions",
    "shown",
]

Status = Literal["ISSUED", "CANCELLED"]
Route = Literal[
    "oral",
    "oromucosal",
    "buccal",
    "sublingual",
    "gingival",
    "dental",
    "periodontal",
    "cutaneous",
    "nasal",
    "inhalation",
    "rectal",
    "subcutaneous",
    "intramuscular",
    "intravenous",
]
TimeUnit = Literal["h", "d", "wk", "mo"]
"""UCUM, as FHIR's UnitsOfTime has it."""


class AllergyConflict(Conflict):
    """The patient is allergic to this, or to something like it: conflicts names each allergy.
    A dentist may override them by their ids, with a reason."""


class AllergiesUnknown(Conflict):
    """Nobody has asked what the patient is allergic to: ask and record it, or override with a
    reason."""


class NotIssued(Conflict):
    """This prescription was cancelled already."""


@dataclass(frozen=True, slots=True)
class Dose:
    """How much at a time: ``1 tablet``, ``7.5 ml``."""

    value: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Timing:
    """``frequency`` times in every ``period`` of ``unit``: 3 times in 1 d; 1 time in 8 h."""

    frequency: int
    period: int
    unit: TimeUnit
    as_needed: bool = False


@dataclass(frozen=True, slots=True)
class Duration:
    """For how long."""

    value: int
    unit: TimeUnit


@dataclass(frozen=True, slots=True)
class Content:
    """All that a prescription says. It never changes: a wrong one is cancelled."""

    drug: Drug
    form: str
    strength: str
    dose: Dose
    route: Route
    timing: Timing
    duration: Duration
    repeats: int = 0
    """How often it may be dispensed again."""
    notes: str | None = None


def shown(found: Conflicting) -> dict[str, str | None]:
    """A conflict as a problem tells it to the dentist."""
    allergy = found.allergy
    return {
        "allergy_id": str(allergy.allergy_id),
        "substance": allergy.name or allergy.code,
        "code": allergy.code,
        "criticality": allergy.criticality,
        "verification": allergy.verification,
        "basis": found.basis,
        "group": found.group,
    }


class _Words(NamedTuple):
    units: dict[TimeUnit, tuple[str, str]]
    """One of it, and several."""
    times: tuple[str, str]
    before: str
    """What stands before several times."""
    every: tuple[str, str]
    """Before one unit of time, and before several."""
    lasting: str
    as_needed: str
    point: str
    """Before the tenths (CLDR's decimal symbol)."""


_WORDS: dict[Language, _Words] = {
    "en": _Words(
        {
            "h": ("hour", "hours"),
            "d": ("day", "days"),
            "wk": ("week", "weeks"),
            "mo": ("month", "months"),
        },
        ("once", "times"),
        "",
        ("every", "every"),
        "for",
        "as needed",
        ".",
    ),
    "ro": _Words(
        {
            "h": ("oră", "ore"),
            "d": ("zi", "zile"),
            "wk": ("săptămână", "săptămâni"),
            "mo": ("lună", "luni"),
        },
        ("o dată", "ori"),
        "de ",
        ("pe", "la fiecare"),
        "timp de",
        "la nevoie",
        ",",
    ),
    "id": _Words(
        {
            "h": ("jam", "jam"),
            "d": ("hari", "hari"),
            "wk": ("minggu", "minggu"),
            "mo": ("bulan", "bulan"),
        },
        ("1 kali", "kali"),
        "",
        ("per", "setiap"),
        "selama",
        "bila perlu",
        ",",
    ),
}


def directions(content: Content, language: Language) -> str:
    """How to take it, in words: ``1 tablet, 3 times every day, for 7 days``."""
    words, timing, duration = _WORDS[language], content.timing, content.duration
    several = _counted(timing.frequency, words.times[1], language)
    often = words.times[0] if timing.frequency == 1 else f"{words.before}{several}"
    every = words.every[timing.period > 1]
    dose = f"{content.dose.value.normalize():f}".replace(".", words.point)
    parts = [
        f"{dose} {content.dose.unit}",
        f"{often} {every} {_span(timing.period, timing.unit, language, one_is_said=False)}",
        f"{words.lasting} {_span(duration.value, duration.unit, language)}",
    ]
    if timing.as_needed:
        parts.insert(2, words.as_needed)
    return ", ".join(parts)


def _span(number: int, unit: TimeUnit, language: Language, *, one_is_said: bool = True) -> str:
    one, several = _WORDS[language].units[unit]
    if number == 1:
        return f"1 {one}" if one_is_said else one
    return _counted(number, several, language)


def _counted(number: int, word: str, language: Language) -> str:
    """Romanian says ``de`` between a number that ends in 0 or in 20 to 99, and what it counts."""
    joined = "de " if language == "ro" and (number % 100 == 0 or number % 100 > 19) else ""
    return f"{number} {joined}{word}"
