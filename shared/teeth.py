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
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

__all__ = [
    "Surface",
    "Tooth",
    "base",
    "checked_surfaces",
    "is_anterior",
    "is_deciduous",
    "is_supernumerary",
    "is_tooth",
    "is_upper",
    "surfaces",
]

Surface = Literal["M", "O", "I", "D", "B", "V", "L", "P"]
"""Mesial, occlusal, incisal, distal, buccal, vestibular (labial), lingual, palatal."""

_TOOTH = r"(?:[1-4][1-8]|[5-8][1-5])(?:S[2-9]?)?"
_is_tooth = re.compile(_TOOTH).fullmatch


def is_tooth(designation: str) -> bool:
    """Does this designate a tooth?"""
    return _is_tooth(designation) is not None


def _checked(text: str) -> str:
    if not is_tooth(text):
        raise ValueError("a tooth is 11 to 48, 51 to 85 (ISO 3950), with S when supernumerary")
    return text


Tooth = Annotated[
    str,
    AfterValidator(_checked),
    Field(
        max_length=4,
        description="ISO 3950, and S behind it for the supernumerary one beside",
        json_schema_extra={"pattern": f"^{_TOOTH}$"},
    ),
]
"""A tooth's designation, such as 36."""


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


@cache
def surfaces(tooth: str) -> tuple[Surface, Surface, Surface, Surface, Surface]:
    """Its five surfaces: mesial, distal, biting (O or I), outer (B or V), inner (P or L)."""
    inner: Surface = "P" if is_upper(tooth) else "L"
    return ("M", "D", "I", "V", inner) if is_anterior(tooth) else ("M", "D", "O", "B", inner)


def checked_surfaces(tooth: str, given: Sequence[str]) -> tuple[Surface, ...]:
    """``given`` in the order of ``surfaces``. Raises ValueError for one that it has not, or twice.

    ``tooth`` is one.
    """
    known = surfaces(tooth)
    if len(set(given)) != len(given):
        raise ValueError("each surface once")
    if set(given) - set(known):
        raise ValueError(f"the surfaces of this tooth are {', '.join(known)}")
    return tuple(letter for letter in known if letter in given)
