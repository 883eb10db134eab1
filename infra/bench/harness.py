"""What every row shares: sides measured in turn, a median with its range, and a count of wrongs.

A ratio is taken within a round, where both sides met the same machine, never between rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

__all__ = ["ROUNDS", "Checks", "Figure", "Target", "interleave", "percentile", "spread"]

ROUNDS = 5


@dataclass
class Checks:
    """What went wrong in ``operations`` of one row; a row with any wrong does not count."""

    operations: int = 0
    missed: int = 0
    duplicated: int = 0
    overlapping: int = 0
    """Out of the order of their key, or with the content of another."""

    @property
    def clean(self) -> bool:
        """Nothing wrong, and something measured."""
        return self.operations > 0 and not (self.missed or self.duplicated or self.overlapping)

    def __str__(self) -> str:
        return f"{self.missed} / {self.duplicated} / {self.overlapping} of {self.operations:,}"


@dataclass(frozen=True)
class Target:
    """What a figure should reach: a ratio of the two sides, or our side's own value."""

    kind: Literal["ratio", "value"]
    bound: Literal["at least", "at most"]
    value: float

    def met(self, found: float) -> bool:
        """Is ``found`` on the right side of the bound?"""
        return found >= self.value if self.bound == "at least" else found <= self.value

    def __str__(self) -> str:
        sign = "≥" if self.bound == "at least" else "≤"
        return f"{sign} {_number(self.value)}"


@dataclass
class Figure:
    """One line of the table: a value per round for each side."""

    what: str
    against: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float]
    target: Target | None
    checks: Checks
    notes: list[str] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs, round by round; empty where there is no other side."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)] if self.theirs else []

    @property
    def found(self) -> float:
        """The median of what the target speaks of."""
        ratio = self.target.kind == "ratio" if self.target else bool(self.theirs)
        return median(self.ratios if ratio else self.ours)

    @property
    def verdict(self) -> str:
        """``met``, by how much it was missed, or that it does not count."""
        if not self.checks.clean:
            return "does not count"
        if self.target is None:
            return "no target"
        if self.target.met(self.found):
            return "met"
        return f"missed by {abs(self.found / self.target.value - 1):.0%}"


def interleave(
    *sides: Callable[[int], float], rounds: int = ROUNDS, warm_up: bool = True
) -> list[list[float]]:
    """The values of each side, measured in turn; who goes first changes with every round.

    Each side gets the number of the round (from 1); with ``warm_up`` a round 0 is thrown away.
    """
    found: list[list[float]] = [[] for _ in sides]
    for number in range(0 if warm_up else 1, rounds + 1):
        order = list(enumerate(sides))
        for at, side in order if number % 2 else reversed(order):
            value = side(number)
            if number:
                found[at].append(value)
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def spread(values: Sequence[float]) -> str:
    """``median (least to most)``."""
    if not values:
        return "-"
    low, high = min(values), max(values)
    return f"{_number(median(values))} ({_number(low)} to {_number(high)})"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
