"""Where each tooth stands in the mouth, as it is drawn and listed."""

from __future__ import annotations

from shared.teeth import base

__all__ = ["LOWER", "UPPER", "place"]

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


def place(tooth: str) -> tuple[int, str]:
    """What teeth are sorted by: row by row as they are drawn, supernumerary ones behind theirs."""
    return _PLACES[base(tooth)], tooth
