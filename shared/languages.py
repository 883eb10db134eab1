"""Which of our languages a reader asks for."""

from __future__ import annotations

import re
from typing import cast, get_args

from shared.types import Language

__all__ = ["preferred_language"]

_RANGE = re.compile(
    r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)
_OLD_CODES = {"in": "id"}  # ISO 639 withdrew "in" in 1989; some clients still say so


def preferred_language(header: str) -> Language | None:
    """The language of ours that an Accept-Language header (RFC 9110, 12.5.4) likes best."""
    best: Language | None = None
    weight = 0.0
    for part in header[:1000].split(","):
        found = _RANGE.fullmatch(part)
        if found is None:
            continue
        code = found[1].lower()
        code = _OLD_CODES.get(code, code)
        given = float(found[2] or 1)
        if code in get_args(Language) and given > weight:
            best, weight = cast("Language", code), given
    return best
