"""``python -m infra.chaos``: the whole kill matrix, rounds of random faults and a torture of the
event store, with a report.

SEED makes a run repeatable as far as chance goes, ROUNDS is how many random rounds there are, and
EVENTS how many events the torture appends.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from infra.bench.place import Place
from infra.chaos import torture
from infra.chaos.matrix import Matrix, Result, cells, platform
from infra.chaos.report import summary, write
from infra.chaos.rounds import random_round
from infra.manifest import ROOT

__all__ = ["main"]

_EVENTS = 100_000  # a minute, or two
_KILLS = 20  # of appenders, about


def main(environ: Mapping[str, str] = os.environ) -> int:
    """The exit code: 1 where anything was lost, doubled, or otherwise not as it must be."""
    seed = int(environ.get("SEED") or time.time())
    rounds = int(environ.get("ROUNDS") or 10)
    events = int(environ.get("EVENTS") or _EVENTS)
    folder = Path(environ.get("DATA") or ROOT / ".local") / "chaos"
    results: list[Result] = []
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="dh-", ignore_cleanup_errors=True) as directory,
        platform(Path(directory)) as stack,
    ):
        # Nothing is hurried: what waits for a minute to pass does so here.
        matrix = Matrix(stack, seed=seed, hurry=False)
        for cell in cells():
            results.append(_told(matrix.run(cell)))
        for number in range(rounds):
            results.append(_told(random_round(matrix, seed, number)))
        matrix.close()
    tortured = _tortured(events, seed)
    file = folder / "report.html"
    write(results, tortured, file, seed=seed, seconds=time.monotonic() - started)
    print(f"{summary(results, tortured)}. Seed {seed}; see {file}")
    return int(bool(tortured.faults) or any(result.anomalies for result in results))


def _tortured(events: int, seed: int) -> torture.Report:
    """The event store in a database of its own."""
    plan = torture.Plan(events=events, kill_every=max(1, events // _KILLS), seed=seed)
    with Place() as place:
        report = torture.run(place.database_url("alpha"), place.directory, plan)
    print(f"event store: {report}", *report.faults, sep="\n  ", file=sys.stderr)
    return report


def _told(result: Result) -> Result:
    where = f"{result.scenario}: {result.action} at {result.point}"
    print(f"{where}, {result.seconds:.1f} s", *result.anomalies, sep="\n  ", file=sys.stderr)
    return result


if __name__ == "__main__":
    sys.exit(main())
