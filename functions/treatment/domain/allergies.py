"""Does a drug meet something its patient is allergic to? Pure, and rather once too often: a dentist
may override it with a reason.

Four rules, the first that applies is named:

- **code**: one ATC code begins with the other. J01C on the list stops J01CA04, and the reverse.
- **name**: all words of the one name stand in the other, or one that tells a substance in both,
  however English, Romanian or Indonesian spells it.
- **group**: both are of one group whose members are known to cross-react, or are one substance
  under several codes (domain/substances.py).
- **not comparable**: one has only a name, the other only a code, and no group tells; or the drug
  has only a name that says nothing here, such as a trade name, and the list a medicine: its code
  settles it.

What is refuted or entered in error stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from functions.treatment.domain.substances import GROUPS, begins, telling, words

__all__ = ["Allergy", "Basis", "Conflicting", "Drug", "Listed", "Status", "conflicts"]

Status = Literal["UNKNOWN", "NONE_KNOWN", "LISTED"]
Basis = Literal["code", "name", "group", "not comparable"]


@dataclass(frozen=True, slots=True)
class Drug:
    """What is prescribed: its (generic) name, and its ATC code if it is given."""

    name: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Allergy:
    """One line of a patient's list: an ATC code of a substance or group, a name, or both."""

    allergy_id: UUID
    code: str | None
    name: str | None
    criticality: str
    verification: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A patient's list; empty unless the status is LISTED."""

    status: Status
    allergies: tuple[Allergy, ...] = ()


@dataclass(frozen=True, slots=True)
class Conflicting:
    """An allergy that the drug meets, and by which rule."""

    allergy: Allergy
    basis: Basis
    group: str | None = None


def conflicts(drug: Drug, listed: Iterable[Allergy]) -> list[Conflicting]:
    """What of the list stops this drug, in the list's order."""
    found = (_conflict(drug, allergy) for allergy in listed)
    return [one for one in found if one is not None]


def _conflict(drug: Drug, allergy: Allergy) -> Conflicting | None:
    if allergy.verification in ("refuted", "entered-in-error"):
        return None
    by_code = drug.code is not None and allergy.code is not None
    if by_code and begins(drug.code or "", allergy.code or ""):
        return Conflicting(allergy, "code")
    named, feared = words(drug.name), words(allergy.name or "")
    if named and feared and (named <= feared or feared <= named or telling(named & feared)):
        return Conflicting(allergy, "name")
    for group in GROUPS:
        if group.has(drug.code, named) and group.has(allergy.code, feared):
            return Conflicting(allergy, "group", group.name)
    if by_code or (named and feared and not _may_be_anything(drug, allergy)):
        return None
    return Conflicting(allergy, "not comparable")


def _may_be_anything(drug: Drug, allergy: Allergy) -> bool:
    """Is the drug a mere name that says nothing here, and the allergy one to a medicine?"""
    named, feared = words(drug.name), words(allergy.name or "")
    return (
        drug.code is None
        and not any(group.has(None, named) for group in GROUPS)
        and (allergy.code is not None or any(group.has(None, feared) for group in GROUPS))
    )
