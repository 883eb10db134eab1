"""The table of a run, for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from infra.bench.harness import Figure, spread
from infra.bench.place import Place

__all__ = ["lines", "write"]

_FILE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
_BOUNDS = Path(__file__).with_name("bounds.md")


def lines(figures: Sequence[Figure]) -> str:
    """For the terminal."""
    made = []
    for figure in figures:
        ratio = f" = {spread(figure.ratios)}" if figure.theirs else ""
        made.append(
            f"{figure.what}\n    {spread(figure.ours)} vs {spread(figure.theirs)} {figure.unit}"
            f"{ratio}; {figure.target or ''} {figure.verdict}; wrong {figure.checks}"
        )
        made += [f"    {note}" for note in figure.notes]
    return "\n".join(made)


def write(figures: Sequence[Figure], place: Place, seconds: float, load: float) -> None:
    """Replace docs/benchmarks.md; ``load`` is the load average from before the run."""
    rows = [
        f"| {figure.what} | {figure.against} | {spread(figure.ours)} | {spread(figure.theirs)}"
        f" | {figure.unit} | {spread(figure.ratios)} | {figure.target or '-'}"
        f" | {figure.verdict} | {figure.checks} |"
        for figure in figures
    ]
    notes = [f"- {figure.what}: {note}" for figure in figures for note in figure.notes]
    text = _TEXT.format(
        cores=os.cpu_count(),
        machine=platform.machine(),
        system=platform.system(),
        python=platform.python_version(),
        postgres=place.postgres_version,
        minutes=seconds / 60,
        load=load,
        rows="\n".join(rows),
        notes="\n".join(notes),
        bounds=_BOUNDS.read_text("utf-8").strip(),
    )
    _FILE.write_text(text, "utf-8")
    print(f"wrote docs/{_FILE.name}")


_TEXT = """\
# Benchmarks

Written by `make bench` (`python -m infra.bench`), which took {minutes:.1f} minutes on {cores}
cores ({system}, {machine}), Python {python}, PostgreSQL {postgres} with fsync on. Clients, servers
and the database share these cores. The load average before the run was {load:.1f}: above 0.5 the
machine had other work, which widens the ranges and lengthens the tails.

Both sides of a row are measured in one run, in turn, so that they meet the same machine; the ratio
is ours over theirs within a round. Values are the median of the rounds, with the least and the
most. The last column counts what was missed / duplicated / overlapping (out of order, or with
another's content) among all operations of the row, by looking at what really arrived: a row with
any of these does not count.

| figure | against | ours | theirs | unit | ratio | target | | wrong |
|---|---|---|---|---|---|---|---|---|
{rows}

{notes}

{bounds}
"""
