"""Teeth on an image: ISO 3950, and SNOMED CT's codes for them in DICOM files.

DICOM PS3.3 C.8.11.9.1.1: the teeth on an intra-oral image are items of the Primary Anatomic
Structure Sequence, coded by PS3.16 CID 4018 (permanent) and CID 4019 (deciduous).
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.teeth import is_tooth

__all__ = ["teeth_of"]

# Quadrant -> the codes from the midline outwards.
_SNOMED = {
    1: "422653006 424877001 860767006 57826002 36492000 865995000 863902006 68085002",
    2: "424399000 423185002 860780009 61897005 23226009 865988009 863901004 87704003",
    3: "425106001 423331005 860782001 2400006 24573005 866006002 863898000 74344005",
    4: "424575004 423937004 860785004 80140008 8873007 866005003 863899008 38994002",
    5: "88824007 65624003 30618001 17505006 27855007",
    6: "51678005 43622005 73937000 45234009 51943008",
    7: "89552004 14770005 43281008 38896004 49330006",
    8: "67834006 22445006 6062009 58646007 61868007",
}
_BY_CODE = {
    code: f"{quadrant}{place}"
    for quadrant, codes in _SNOMED.items()
    for place, code in enumerate(codes.split(), 1)
}


def teeth_of(codes: Iterable[tuple[str, str]]) -> list[str]:
    """The teeth that these codes (scheme, value) name, each once; others name none."""
    found = dict.fromkeys(
        value if scheme in ("ISO3950", "FDI") and is_tooth(value) else _BY_CODE.get(value, "")
        for scheme, value in codes
    )
    return [tooth for tooth in found if tooth]
