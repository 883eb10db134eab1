"""When somebody could come: several stretches of time in one column (tstzmultirange)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from functions.appointment.domain.hours import Span

__all__ = ["SHOWN", "literal", "spans"]

SHOWN = (
    "(select jsonb_agg(jsonb_build_array(lower(one), upper(one)) order by one)"
    " from unnest(windows) one) as windows"
)
"""The column as ``spans`` reads it."""


def literal(windows: Iterable[Span]) -> str:
    """The column's text; PostgreSQL joins what overlaps or touches."""
    ranges = (f"[{one.start.isoformat()},{one.end.isoformat()})" for one in windows)
    return "{" + ",".join(ranges) + "}"


def spans(shown: Sequence[Sequence[str]]) -> list[Span]:
    """The stretches in a row, in order."""
    return [Span(*(datetime.fromisoformat(edge) for edge in one)) for one in shown]
