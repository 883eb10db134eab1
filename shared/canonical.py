"""JSON with one spelling for each value, so that a checksum of it means something."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["canonical", "checksum"]

# Beyond it numbers are not exact in every language's JSON (RFC 7493, 2.2).
_LARGEST = 2**53 - 1


def canonical(value: Any) -> bytes:
    """``value`` as RFC 8785 (JCS) wants it, for objects with ASCII names and without fractions.

    Raises ValueError for anything else: what it would look like differs between languages.
    """
    _check(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def checksum(value: Any) -> str:
    """SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _check(value: Any) -> None:
    if isinstance(value, dict):
        for name, member in value.items():
            if not (isinstance(name, str) and name.isascii()):
                raise ValueError("a member's name must be an ASCII text")
            _check(member)
    elif isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > _LARGEST:
            raise ValueError("an integer beyond 2**53 - 1 has no exact spelling")
    elif not (value is None or isinstance(value, str | bool)):
        raise ValueError(f"a {type(value).__name__} has no single spelling")
