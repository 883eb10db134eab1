"""The embedded bus's process by itself: ``python -m infra.bench.dispatch PARENT WIRING.json``."""

from __future__ import annotations

import sys
from pathlib import Path

from infra.local import bus_process, lifeline

if __name__ == "__main__":
    lifeline.follow(int(sys.argv[1]))
    sys.exit(bus_process.run(Path(sys.argv[2])))
