"""What a law holds: rows that an erasure leaves until their time has come."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from shared.config import config

__all__ = ["Hold", "rules"]


@dataclass(frozen=True, slots=True)
class Hold:
    """Rows that are records of a kind, held as long as the operator says (shared/retention.py)."""

    kind: str
    """``appointment``, ``dental_record``...; the key in RETENTION."""
    since: str
    """The SQL expression, over the row, of the moment (timestamptz) that the time runs from. Null:
    the row is not held. Where a record is kept as a whole, that of its last entry."""

    @property
    def until(self) -> str:
        """The SQL expression of the moment until which the row is held. Raises MissingSettings."""
        days = config().retained(self.kind).days
        return f"(({self.since})::timestamptz + make_interval(days => {days}))"

    @property
    def held(self) -> str:
        """The SQL condition that the row is held now. Raises MissingSettings."""
        if not config().retained(self.kind).days:
            return "false"
        return f"coalesce({self.until} > now(), false)"

    @property
    def reason(self) -> str:
        """Which law holds it. Raises MissingSettings."""
        return config().retained(self.kind).reason


def rules(kinds: Iterable[str]) -> str:
    """The rules for ``kinds`` as text: the same for the same rules. Raises MissingSettings."""
    found = {kind: config().retained(kind) for kind in sorted(kinds)}
    return json.dumps({kind: [rule.days, rule.reason] for kind, rule in found.items()})
