"""The few elements of SVG 2 that a drawing is made of; all text is escaped."""

from __future__ import annotations

import re
from html import escape

__all__ = ["label", "line", "square", "text"]

# What XML 1.0 cannot hold.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(given: str) -> str:
    """``given`` as it stands in an element or an attribute."""
    return escape(_UNFIT.sub("\ufffd", given))


def label(
    x: float,
    y: float,
    given: str,
    *,
    size: int = 12,
    ink: str = "#000000",
    anchor: str = "middle",
    bold: bool = False,
) -> str:
    """Text whose base line is at ``y``."""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{ink}" text-anchor="{anchor}"'
        f"{weight}>{text(given)}</text>"
    )


def line(
    start: tuple[float, float], end: tuple[float, float], ink: str, width: float, dashes: str = ""
) -> str:
    """A line; ``dashes`` are the lengths of strokes and gaps."""
    return (
        f'<line x1="{start[0]:g}" y1="{start[1]:g}" x2="{end[0]:g}" y2="{end[1]:g}"'
        f' stroke="{ink}" stroke-width="{width:g}"{_dashed(dashes)}/>'
    )


def square(
    corner: tuple[float, float], side: float, ink: str, width: float, dashes: str = ""
) -> str:
    """The outline of a square."""
    return (
        f'<rect x="{corner[0]:g}" y="{corner[1]:g}" width="{side:g}" height="{side:g}"'
        f' fill="none" stroke="{ink}" stroke-width="{width:g}"{_dashed(dashes)}/>'
    )


def _dashed(dashes: str) -> str:
    return f' stroke-dasharray="{dashes}"' if dashes else ""
