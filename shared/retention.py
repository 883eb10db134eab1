"""How long a law holds records of a kind: the operator says it in the setting RETENTION.

{"dental_record": {"days": 3650, "reason": "the law that says so"}, "appointment": {"days": 0}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Retention", "retention_of"]

_LONGEST = 73_000  # days, 200 years


@dataclass(frozen=True, slots=True)
class Retention:
    """``days`` from a record's date on, 0: it is not held; ``reason``: the law, for receipts."""

    days: int
    reason: str


def retention_of(text: str) -> Mapping[str, Retention]:
    """Kind of record -> how long it is held. Raises ValueError, naming what is wrong."""
    try:
        found = json.loads(text or "{}")
        rules = {str(kind): _rule(str(kind), said) for kind, said in found.items()}
    except (AttributeError, json.JSONDecodeError):
        raise ValueError("RETENTION must be a JSON object: kind -> days and reason") from None
    return rules


def _rule(kind: str, said: object) -> Retention:
    known = said if isinstance(said, dict) else {}
    days, reason = known.get("days"), known.get("reason", "")
    if type(days) is not int or not 0 <= days <= _LONGEST or not known.keys() <= {"days", "reason"}:
        raise ValueError(f"RETENTION of {kind} must have days from 0 to {_LONGEST}, and a reason")
    if not isinstance(reason, str) or (days and not reason.strip()):
        raise ValueError(f"RETENTION of {kind} must have a reason")
    return Retention(days, reason.strip())
