"""What was found in somebody's mouth in the year, and what was done, shown, planned and prescribed.

What is planned follows from what was found, and what is done of a plan from what was done.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from random import Random

from functions.dental_records.domain.chart import Procedure
from infra.people import patient
from infra.seed.calendar import many
from infra.seed.visits import Year
from infra.seed.words import DISEASES, DRUGS, LOTS, MATERIALS, NOTES, Disease, Medicine
from shared.teeth import Surface, surfaces

__all__ = ["Deed", "Finding", "Mouth", "Picture", "Planned", "Prescribed", "mouth"]

_TEETH = tuple(f"{quadrant}{place}" for quadrant in "1234" for place in "12345678")


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of a tooth."""

    turn: int
    at: datetime
    disease: Disease
    tooth: str
    surfaces: tuple[Surface, ...]
    note: str | None


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done about the finding at the place ``turn``, which resolves it or does not yet."""

    turn: int
    at: datetime
    procedure: Procedure
    tooth: str
    surfaces: tuple[Surface, ...]
    lot: str | None
    resolves: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """An X-ray of a finding's tooth, or of both jaws."""

    turn: int
    at: datetime
    file: int
    """Which of the few images that there are."""
    tooth: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan for the findings at these places, and whether the patient wanted it (None: has not
    said yet)."""

    turn: int
    at: datetime
    findings: tuple[int, ...]
    wanted: bool | None
    on_paper: bool


@dataclass(frozen=True, slots=True)
class Prescribed:
    """A drug."""

    turn: int
    at: datetime
    drug: Medicine
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Mouth:
    """Of one person, each kind in order of time; nobody is done anything about what was not
    found."""

    findings: tuple[Finding, ...]
    deeds: tuple[Deed, ...]
    pictures: tuple[Picture, ...]
    plans: tuple[Planned, ...]
    prescribed: tuple[Prescribed, ...]


def mouth(of: Year) -> Mouth:
    """Of the person whose year it is."""
    number, days = of.number, of.days
    chance = Random(f"mouth {number}")  # nosec B311
    teeth = chance.sample(_TEETH, len(_TEETH))
    found = many("problems", number)
    findings = tuple(
        _finding(turn, _day(days, turn, found), teeth, of.language, chance) for turn in range(found)
    )
    done = min(many("interventions", number), found)
    deeds = tuple(_deed(finding, days, chance) for finding in findings[:done])
    pictures = tuple(
        _picture(turn, findings, days, chance) for turn in range(many("xrays", number))
    )
    plans = _plans(number, findings, done, days, chance)
    feared = patient(number).get("anamnesis", {}).get("allergies", "")
    prescribed = tuple(
        _prescribed(turn, days, feared, chance) for turn in range(many("prescriptions", number))
    )
    return Mouth(findings, deeds, pictures, plans, prescribed)


def _day(days: list[datetime], turn: int, of: int) -> datetime:
    """Spread over the visits, in order; some minutes into one."""
    return days[turn * len(days) // of] + timedelta(minutes=2 + turn % 8)


@cache
def _often() -> list[int]:
    return [disease.often for disease in DISEASES]


def _finding(turn: int, at: datetime, teeth: list[str], language: str, chance: Random) -> Finding:
    tooth = teeth[turn % len(teeth)]
    while tooth[1] not in (disease := chance.choices(DISEASES, _often())[0]).teeth:
        pass
    letters = surfaces(tooth)
    some = set(chance.sample(letters, chance.randint(1, disease.surfaces or 1)))
    where = tuple(one for one in letters if one in some) if disease.surfaces else ()
    note = chance.choice(NOTES[language]) if chance.random() < 0.15 else None
    return Finding(turn, at, disease, tooth, where, note)


def _deed(finding: Finding, days: list[datetime], chance: Random) -> Deed:
    """On the day on which it was found, or the next one."""
    later = [day for day in days if day > finding.at]
    at = finding.at + timedelta(minutes=15)
    if later and chance.random() < 0.5:
        at = later[0] + timedelta(minutes=10 + finding.turn % 8)
    procedure = chance.choice(finding.disease.cures)
    lot = f"L{chance.randrange(LOTS):04}" if procedure in MATERIALS else None
    where = finding.surfaces if procedure in ("FILLING", "SEALANT", "INLAY") else ()
    resolves = chance.random() < 0.92
    return Deed(finding.turn, at, procedure, finding.tooth, where, lot, resolves)


def _picture(
    turn: int, findings: tuple[Finding, ...], days: list[datetime], chance: Random
) -> Picture:
    file = chance.choices((0, 1, 2, 3), (60, 20, 10, 10))[0]
    if turn < len(findings) and chance.random() < 0.85:
        finding = findings[turn]
        return Picture(turn, finding.at + timedelta(minutes=3), file, finding.tooth)
    at = chance.choice(days) + timedelta(minutes=1, seconds=turn)
    return Picture(turn, at, file, None)


def _plans(
    number: int, findings: tuple[Finding, ...], done: int, days: list[datetime], chance: Random
) -> tuple[Planned, ...]:
    """Each finding is in one plan; nobody refuses what is being done."""
    count, plans = many("treatments", number), []
    for turn in range(count):
        about = tuple(range(turn * len(findings) // count, (turn + 1) * len(findings) // count))
        at = findings[about[-1]].at if about else days[0]
        begun = any(place < done for place in about)
        wanted = True if begun else chance.choice((True, None, None, False))
        plan_at = at + timedelta(minutes=9)
        plans.append(Planned(turn, plan_at, about, wanted, on_paper=chance.random() < 0.4))
    return tuple(plans)


def _prescribed(turn: int, days: list[datetime], feared: str, chance: Random) -> Prescribed:
    """Nobody is prescribed anything near to what they say they do not tolerate."""
    safe = DRUGS[-1:] if feared else DRUGS
    at = chance.choice(days) + timedelta(minutes=12, seconds=turn)
    return Prescribed(turn, at, chance.choice(safe), cancelled=chance.random() < 0.04)
