"""The tooth chart as a picture (SVG 2), drawn as the one who faces the patient sees it.

Each tooth is a square with its five surfaces, the outer one away from the middle of the mouth.
Nothing is told by colour alone: problems are hatched, what was treated is dotted, and the rest has
letters and lines. The colours are those of Okabe and Ito (Color Universal Design, 2008), which
people with any kind of colour vision can tell apart. All that is drawn is also said in words.

It has no script and no style sheet, so that a strict content security policy can show it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from functions.dental_records.domain.chart import CONNECTED, Chart, Procedure
from functions.dental_records.domain.findings import Finding, findings, lines
from functions.dental_records.domain.svg import label, line, square, text
from functions.dental_records.domain.teeth import LOWER, UPPER
from functions.dental_records.domain.words import WORDS, Words
from shared.teeth import base, is_deciduous, is_supernumerary, is_upper, surfaces
from shared.types import Language

__all__ = ["draw"]

# Okabe and Ito: vermillion, blue, bluish green; and black and greys, which everybody sees.
_PROBLEM, _TREATED, _WHOLE, _INK, _GREY, _PALE = (
    *("#D55E00", "#0072B2", "#009E73"),
    *("#000000", "#595959", "#BDBDBD"),
)
_CELL, _TOOTH, _SMALL = 46, 34, 20
_WIDTH = 16 * _CELL + 60
_TOP, _ROW = 68, 98
# Of the legend.
_COLUMNS, _COLUMN = 4, 185
_ROWS = (UPPER[0], UPPER[1], LOWER[1], LOWER[0])
_LETTERS: dict[Procedure, str] = {
    "FILLING": "F",
    "SEALANT": "S",
    "INLAY": "N",
    "VENEER": "V",
    "CROWN": "C",
    "BRIDGE": "B",
    "SPLINT": "Z",
    "DENTURE": "D",
    "IMPLANT": "I",
    "ROOT_CANAL": "R",
    "EXTRACTION": "X",
    "CLEANING": "H",
    "ORTHODONTICS": "O",
    "OTHER": "+",
}

_PATTERNS = (
    '<defs><pattern id="problem" width="6" height="6" patternUnits="userSpaceOnUse"'
    f' patternTransform="rotate(45)"><rect width="3" height="6" fill="{_PROBLEM}"/></pattern>'
    '<pattern id="treated" width="5" height="5" patternUnits="userSpaceOnUse">'
    f'<rect width="5" height="5" fill="#CFE5F3"/><circle cx="2.5" cy="2.5" r="1.5"'
    f' fill="{_TREATED}"/></pattern></defs>'
)


def draw(
    chart: Chart,
    version: int,
    language: Language,
    as_of: datetime | None = None,
    known_at: datetime | None = None,
) -> str:
    """The chart as an SVG document; ``as_of`` and ``known_at`` are written on it."""
    words, found = WORDS[language], findings(chart)
    used = sorted({each for tooth in found.values() for each in tooth.procedures})
    height = _TOP + 4 * _ROW + 64 + 20 * -(-len(used) // _COLUMNS)
    when = ((words.as_of, as_of), (words.known_at, known_at))
    told = [f"{word} {moment:%Y-%m-%d %H:%M %Z}" for word, moment in when if moment is not None]
    heading = f"{words.chart}: {', '.join([*told, f'{words.version} {version}'])}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
        f' width="{_WIDTH}" height="{height}" lang="{language}" font-family="sans-serif"'
        ' aria-labelledby="title desc">',
        f'<title id="title">{text(heading)}</title>',
        f'<desc id="desc">{text(" ".join(lines(chart, words)))}</desc>',
        _PATTERNS,
        f'<rect width="{_WIDTH}" height="{height}" fill="#FFFFFF"/>',
        label(_WIDTH / 2, 24, heading, size=16),
        label(16, _TOP + 2 * _ROW - 2, words.right, size=14),
        label(_WIDTH - 16, _TOP + 2 * _ROW - 2, words.left, size=14),
        line((_WIDTH / 2, _TOP - 10), (_WIDTH / 2, _TOP + 4 * _ROW - 4), _PALE, 1),
        line((34, _TOP + 2 * _ROW - 7), (_WIDTH - 34, _TOP + 2 * _ROW - 7), _PALE, 1),
    ]
    for row in _ROWS:
        for tooth in row:
            parts += _tooth(tooth, found.get(tooth), words)
    for tooth, finding in found.items():
        if is_supernumerary(tooth):
            parts += _tooth(tooth, finding, words)
    parts += _joined(chart)
    parts += _legend(_TOP + 4 * _ROW + 38, used, words)
    return "".join([*parts, "</svg>"])


def _at(tooth: str) -> tuple[float, float, float]:
    """Left, top and side of a tooth's square."""
    number = next(n for n, row in enumerate(_ROWS) if base(tooth) in row)
    row = _ROWS[number]
    column = row.index(base(tooth)) + (16 - len(row)) // 2
    x, y = 30 + column * _CELL + (_CELL - _TOOTH) / 2, _TOP + number * _ROW + 26
    if not is_supernumerary(tooth):
        return x, y, _TOOTH
    # Beyond the tooth beside which it stands, further ones away from the edge.
    shift = (int(tooth[3:] or 1) - 1) * (_SMALL + 4) * (1 if column < 8 else -1)
    return x + 8 + shift, (y - 42 if is_upper(tooth) else y + _TOOTH + 22), _SMALL


def _regions(tooth: str, x: float, y: float, side: float) -> Iterator[tuple[str, str]]:
    """Each surface and the points of its polygon."""
    third, far = side * 0.3, side * 0.7
    outer, right, inner, left, middle = (
        ((0.0, 0.0), (side, 0.0), (far, third), (third, third)),
        ((side, 0.0), (side, side), (far, far), (far, third)),
        ((0.0, side), (side, side), (far, far), (third, far)),
        ((0.0, 0.0), (0.0, side), (third, far), (third, third)),
        ((third, third), (far, third), (far, far), (third, far)),
    )
    if not is_upper(tooth):
        outer, inner = inner, outer
    # The midline is to the right of what is drawn on the left.
    mesial, distal = (right, left) if tooth[0] in "1458" else (left, right)
    for letter, points in zip(surfaces(tooth), (mesial, distal, middle, outer, inner), strict=True):
        yield letter, " ".join(f"{x + dx:g},{y + dy:g}" for dx, dy in points)


def _tooth(tooth: str, finding: Finding | None, words: Words) -> Iterator[str]:
    x, y, side = _at(tooth)
    known = finding or Finding()
    edge = _GREY if finding is not None or not is_deciduous(tooth) else _PALE
    yield f"<g><title>{text(f'{words.tooth} {tooth}')}</title>"
    for letter, points in _regions(tooth, x, y, side):
        fill = "url(#treated)" if letter in known.treated else "#FFFFFF"
        yield f'<polygon points="{points}" fill="{fill}" stroke="{edge}"/>'
        if letter in known.problems:
            yield f'<polygon points="{points}" fill="url(#problem)" stroke="{_PROBLEM}"/>'
    small = is_supernumerary(tooth)
    beyond = y - 7 if is_upper(tooth) else y + side + 16
    size = 9 if small else 12
    yield label(x + side / 2, beyond, tooth, size=size, ink=_INK if edge == _GREY else _GREY)
    yield from _marks(x, y, side, known)
    # Towards the middle of the mouth; of a supernumerary tooth, where there is no other one.
    letters = "".join(_LETTERS[each] for each in known.procedures)
    if letters and small:
        at = (x + side + 5, y + side - 2)
        yield label(*at, letters, size=10, ink=_WHOLE, bold=True, anchor="start")
    elif letters:
        under = y + side + 15 if is_upper(tooth) else y - 7
        yield label(x + side / 2, under, letters, size=11, ink=_WHOLE, bold=True)
    yield "</g>"


def _marks(x: float, y: float, side: float, known: Finding) -> Iterator[str]:
    if known.problem:
        yield square((x - 3, y - 3), side + 6, _PROBLEM, 3, dashes="5 3")
    if "CROWN" in known.procedures:
        yield square((x - 1, y - 1), side + 2, _WHOLE, 3)
    if known.missing:
        yield line((x, y), (x + side, y + side), _INK, 2.5)
        yield line((x, y + side), (x + side, y), _INK, 2.5)
    if known.in_error:
        yield label(x + side + 3, y + 8, "\u2205", size=11, ink=_GREY)


def _joined(chart: Chart) -> Iterator[str]:
    """A line along the teeth of each bridge, a dashed one along those of each splint."""
    for record in chart.interventions.values():
        done = record.intervention
        if done.procedure not in CONNECTED or record.error is not None:
            continue
        places = {each.tooth: _at(each.tooth) for each in done.teeth}
        upper = is_upper(done.teeth[0].tooth)
        rows = sorted({y for _, y, side in places.values() if side == _TOOTH})
        for row in rows:
            middles = [x + side / 2 for x, y, side in places.values() if y == row]
            # A tooth may be in both.
            bridge = done.procedure == "BRIDGE"
            beyond = 22 if bridge else 29
            height = row + _TOOTH + beyond if upper else row - beyond
            dashes = "" if bridge else "4 3"
            yield line((min(middles) - 12, height), (max(middles) + 12, height), _WHOLE, 3, dashes)
            for each in done.teeth:
                x, y, side = places[each.tooth]
                if each.role == "PONTIC" and y == row:
                    yield (
                        f'<circle cx="{x + side / 2:g}" cy="{height:g}" r="4" fill="#FFFFFF"'
                        f' stroke="{_WHOLE}" stroke-width="2"/>'
                    )


def _legend(y: float, used: list[Procedure], words: Words) -> Iterator[str]:
    signs = (
        ("url(#problem)", words.problem),
        ("url(#treated)", words.treated),
    )
    for number, (fill, word) in enumerate(signs):
        x = 34 + number * _COLUMN
        yield f'<rect x="{x}" y="{y:g}" width="14" height="14" fill="{fill}" stroke="{_GREY}"/>'
        yield label(x + 20, y + 12, word, anchor="start")
    yield square((31, y - 3), 20, _PROBLEM, 2, dashes="4 2")
    x = 34 + 2 * _COLUMN
    yield line((x, y), (x + 14, y + 14), _INK, 2.5)
    yield line((x, y + 14), (x + 14, y), _INK, 2.5)
    yield label(x + 20, y + 12, words.missing, anchor="start")
    yield label(x + _COLUMN + 7, y + 12, "\u2205", ink=_GREY)
    yield label(x + _COLUMN + 20, y + 12, words.in_error, anchor="start")
    for number, procedure in enumerate(used):
        x, below = 34 + number % _COLUMNS * _COLUMN, y + 32 + number // _COLUMNS * 20
        yield label(x + 7, below, _LETTERS[procedure], ink=_WHOLE, bold=True)
        yield label(x + 20, below, words.procedures[procedure], anchor="start")
