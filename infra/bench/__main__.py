"""``python -m infra.bench [ROW...]``: measure, print the table, write docs/benchmarks.md.

With names of rows only these are measured, and nothing is written.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from infra.bench import (
    booking,
    cold,
    duplicates,
    erasure,
    events,
    get_patient,
    latency,
    lists,
    memory,
    relay,
    report,
    saga,
    search,
)
from infra.bench.harness import Figure
from infra.bench.place import Place

ROWS: Mapping[str, Callable[[Place], list[Figure]]] = {
    "cold": cold.run,
    "memory": memory.run,
    "get-patient": get_patient.run,
    "booking": booking.run,
    "relay": relay.run,
    "latency": latency.run,
    "saga": saga.run,
    "duplicates": duplicates.run,
    "search": search.run,
    "lists": lists.run,
    "erasure": erasure.run,
    "events": events.run,
}


def main(names: Sequence[str]) -> int:
    """The exit code: 0, 1 when a row does not count, 2 for an unknown row."""
    if unknown := set(names) - set(ROWS):
        print(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
        return 2
    began, load = time.monotonic(), os.getloadavg()[0]
    figures: list[Figure] = []
    with Place() as place:
        for name in names or ROWS:
            print(f"{name} ...", file=sys.stderr, flush=True)
            found = ROWS[name](place)
            figures += found
            print(report.lines(found), flush=True)
        if not names:
            report.write(figures, place, time.monotonic() - began, load)
    return 0 if all(figure.checks.clean for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
