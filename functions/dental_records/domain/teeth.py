"""Which teeth there are, and which surfaces each of them has.

ISO 3950:2016 (the FDI notation) names a tooth by two digits, its quadrant and its place from the
midline: 11 to 48 permanent, 51 to 85 deciduous. It has no name for supernumerary teeth. Ours is
the tooth beside which it stands and ``S``, as the ADA's Universal system appends an S to a primary
tooth's letter (Current Dental Terminology, tooth numbering): ``11S``, and ``11S2`` to ``11S9`` for
further ones at the same place.

Surfaces have the letters of HL7's code system FDI-surface (M, D, O, I, B, V, L), and P, palatal,
where an upper tooth faces the palate. A tooth has five, each with one letter: there is one way to
say which it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

__all__ = [
    "LOWER",
    "UPPER",
    "base",
    "checked_surfaces",
    "is_anterior",
    "is_deciduous",
    "is_supernumerary",
    "is_tooth",
    "is_upper",
    "place",
    "surfaces",
]

_TOOTH = re.compile(r"(?:[1-4][1-8]|[5-8][1-5])(?:S[2-9]?)?")

# As one who faces the patient sees them: the patient's right is on the left.
UPPER = (
    tuple(f"1{n}" for n in range(8, 0, -1)) + tuple(f"2{n}" for n in range(1, 9)),
    tuple(f"5{n}" for n in range(5, 0, -1)) + tuple(f"6{n}" for n in range(1, 6)),
)
"""The upper arch: permanent, deciduous."""
LOWER = (
    tuple(f"4{n}" for n in range(8, 0, -1)) + tuple(f"3{n}" for n in range(1, 9)),
    tuple(f"8{n}" for n in range(5, 0, -1)) + tuple(f"7{n}" for n in range(1, 6)),
)
"""The lower arch: permanent, deciduous."""
_PLACES = {
    tooth: number
    for number, tooth in enumerate(tooth for arch in (*UPPER, *LOWER) for tooth in arch)
}


def is_tooth(designation: str) -> bool:
    """Does this designate a tooth?"""
    return _TOOTH.fullmatch(designation) is not None


def base(tooth: str) -> str:
    """The tooth itself, or the one beside which a supernumerary tooth stands."""
    return tooth[:2]


def is_supernumerary(tooth: str) -> bool:
    """Is it one too many?"""
    return len(tooth) > 2


def is_deciduous(tooth: str) -> bool:
    """Is it of the first dentition?"""
    return tooth[0] >= "5"


def is_upper(tooth: str) -> bool:
    """Is it in the upper jaw?"""
    return tooth[0] in "1256"


def is_anterior(tooth: str) -> bool:
    """Is it an incisor or a canine, with an edge instead of a chewing surface?"""
    return tooth[1] <= "3"


def place(tooth: str) -> tuple[int, str]:
    """What teeth are sorted by: row by row as they are drawn, supernumerary ones behind theirs."""
    return _PLACES[base(tooth)], tooth


@cache
def surfaces(tooth: str) -> tuple[str, str, str, str, str]:
    """Its five surfaces: mesial, distal, biting (O or I), outer (B or V), inner (P or L)."""
    edge, outer = ("I", "V") if is_anterior(tooth) else ("O", "B")
    return ("M", "D", edge, outer, "P" if is_upper(tooth) else "L")


def checked_surfaces(tooth: str, given: Sequence[str]) -> tuple[str, ...]:
    """``given`` in the order of ``surfaces``. Raises ValueError for one that it has not, or twice.

    What is not a tooth has none of its own; that is somebody else's to say.
    """
    if not is_tooth(tooth):
        return tuple(given)
    known = surfaces(tooth)
    if len(set(given)) != len(given):
        raise ValueError("each surface once")
    if set(given) - set(known):
        raise ValueError(f"the surfaces of this tooth are {', '.join(known)}")
    return tuple(letter for letter in known if letter in given)
