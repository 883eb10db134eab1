"""Plots as inline SVG: each figure says by its shape, too, what its colour says."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from infra.chaos.matrix import Result

__all__ = ["Count", "bars", "counts", "dots"]

_WIDTH, _LEFT, _RIGHT = 640, 190, 20
_ROW, _TOP = 26, 8
_SMALLEST = 5.0  # seconds an axis shows at least
_SHORTEST = 0.25  # seconds; where a logarithmic axis begins
_TICKS = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True)
class Count:
    """How often something happened."""

    name: str
    value: int
    kind: str
    """The bar's class; ``bad``: there should be none."""


def counts(found: Sequence[Count]) -> str:
    """A bar for each count, as long as its logarithm, and the number beside it."""
    most = max(10, *(each.value for each in found))
    wide, parts = _WIDTH - _LEFT - 5 * _RIGHT, []
    for at, each in enumerate(found):
        y = _TOP + at * _ROW
        long = wide * math.log10(each.value + 1) / math.log10(most + 1)
        bar = f"<rect class='{each.kind}' x='{_LEFT}' y='{y + 4}' width='{long:.1f}'"
        parts += [
            f"<text x='0' y='{y + 16}' class='soft'>{html.escape(each.name)}</text>",
            f"{bar} height='{_ROW - 8}'/>" if each.value else "",
            f"<text x='{_LEFT + long + 6:.1f}' y='{y + 16}'>{each.value:,}</text>",
        ]
    return _svg(_TOP * 2 + _ROW * len(found), "Counts", parts)


def dots(results: Sequence[Result]) -> str:
    """Seconds to converge: a line per scenario and point, a figure per cell."""
    lines = list(dict.fromkeys((r.scenario, r.point) for r in results))
    longest = max(_SMALLEST, *(r.seconds for r in results))
    place = _logarithmic(longest)
    parts, at, scenario = [], _TOP, ""
    places: dict[tuple[str, str], int] = {}
    for line in lines:
        if line[0] != scenario:
            scenario = line[0]
            at += 30
            parts.append(
                f"<text x='0' y='{at - 6}' font-weight='600'>{html.escape(scenario)}</text>"
            )
        places[line] = at + _ROW // 2
        at += _ROW
    ticks = {tick: place(tick) for tick in _TICKS if tick <= longest}
    parts = [_axis(ticks, _TOP + 30, at), *parts]
    for (_, point), y in places.items():
        parts.append(f"<text x='0' y='{y + 4}' class='soft'>{html.escape(point)}</text>")
    for result in results:
        x, y = place(result.seconds), places[result.scenario, result.point]
        parts.append(_figure(result, x, y))
    return _svg(at + 32, "Seconds to converge, by cell", parts)


def bars(results: Sequence[Result]) -> str:
    """Seconds to converge: a bar per round."""
    longest = max(_SMALLEST, *(r.seconds for r in results))
    place = _linear(longest)
    end = _TOP + _ROW * len(results)
    step = next(s for s in (1, 2, 5, 10, 20, 30, 60, math.inf) if longest / s <= 8)
    count = int(longest / step) + 1
    parts = [_axis({n * step: place(n * step) for n in range(count)}, _TOP, end)]
    for number, result in enumerate(results):
        y = _TOP + number * _ROW
        wide = max(1.0, place(result.seconds) - _LEFT)
        mark = "" if not result.anomalies else f" ({len(result.anomalies)} anomalies)"
        parts += [
            f"<text x='0' y='{y + 16}' class='soft'>seed {html.escape(result.seed + mark)}</text>",
            f"<rect class='random' x='{_LEFT}' y='{y + 4}' width='{wide:.1f}' height='{_ROW - 8}'>"
            f"{_title(result)}</rect>",
        ]
    return _svg(end + 32, "Seconds to converge, by round", parts)


def _figure(result: Result, x: float, y: int) -> str:
    shapes = {
        "kill": f"<circle class='kill' cx='{x:.1f}' cy='{y}' r='5'>",
        "stop": f"<rect class='stop' x='{x - 4.5:.1f}' y='{y - 4.5}' width='9' height='9'>",
    }
    cut = f"<path class='cut' d='M{x:.1f} {y - 6}l6 11h-12z'>"
    shape = shapes.get(result.action, cut)
    end = "</" + shape[1:].partition(" ")[0] + ">"
    ring = f"<circle class='bad' cx='{x:.1f}' cy='{y}' r='10'/>" if result.anomalies else ""
    return f"{shape}{_title(result)}{end}{ring}"


def _title(result: Result) -> str:
    what = f"{result.point}, {result.action} in {result.process}: {result.seconds:.1f} s"
    return f"<title>{html.escape(what)}</title>"


def _axis(places: Mapping[float, float], top: int, bottom: int) -> str:
    """A line and a label for each tick: its seconds -> where it stands."""
    parts = []
    for tick, x in places.items():
        parts.append(f"<line class='grid' x1='{x:.1f}' x2='{x:.1f}' y1='{top}' y2='{bottom}'/>")
        label = f"<text class='soft' x='{x:.1f}' y='{bottom + 22}' text-anchor='middle'>"
        parts.append(f"{label}{tick:g}</text>")
    return "".join(parts)


def _logarithmic(longest: float) -> Callable[[float], float]:
    """Where seconds stand, from the shortest that can be read off to ``longest``."""
    span = math.log(longest * 1.1 / _SHORTEST)
    wide = _WIDTH - _LEFT - _RIGHT
    return lambda seconds: _LEFT + wide * math.log(max(seconds, _SHORTEST) / _SHORTEST) / span


def _linear(longest: float) -> Callable[[float], float]:
    return lambda seconds: _LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / longest


def _svg(height: int, name: str, parts: Sequence[str]) -> str:
    head = f"<svg viewBox='0 0 {_WIDTH} {height}' role='img' aria-label='{name}'>"
    return f"{head}{''.join(parts)}</svg>"
