"""``make replay-check``: are the read models what their events make of them? If not, a line for
each row that differs, exit 1. Nothing stands still meanwhile.

Without ``--check`` every read model is made anew and takes the place of the live one (``make
replay``): after a change of the code that computes it, or to mend what the check found. Without
``--service`` it works on the platform in DATA (``.local``), running or not; ``--service NAME`` on
one service by the environment it runs with, in the cloud.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from infra import manifest
from shared.config import MissingSettings, config
from shared.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from shared.projection import Projector

__all__ = ["check", "main", "rebuild"]

_SHOWN = 50


def check(service: str, projector: Projector) -> bool:
    """Print what differs; whether nothing does. Raises as ``Projector.check``."""
    name = f"{service}: {projector.projection.name}"
    found = projector.check()
    if not found:
        print(f"{name}: as its events make it")
    for each in found[:_SHOWN]:
        columns = f": {', '.join(each.columns)}" if each.columns else ""
        print(f"{name}: {each.what} in {each.table}: {each.key}{columns}")
    if len(found) > _SHOWN:
        print(f"{name}: and {len(found) - _SHOWN} more")
    return not found


def rebuild(service: str, projector: Projector) -> bool:
    """Print how much was applied; True. Raises as ``Projector.rebuild``."""
    events = projector.rebuild()
    print(f"{service}: {projector.projection.name}: made anew from {events} events")
    return True


def main(arguments: Sequence[str]) -> int:
    """0 when all is well, 1 when a read model differs, 2 when it cannot be told."""
    parser = argparse.ArgumentParser(description="Make read models anew, or compare them.")
    parser.add_argument("--check", action="store_true", help="compare, and change nothing")
    parser.add_argument("--service", help="one service, by this environment")
    wanted = parser.parse_args(arguments)
    work = check if wanted.check else rebuild
    directory = manifest.ROOT / (os.environ.get("DATA") or ".local")
    sound = True
    try:
        with nullcontext() if wanted.service else _embedded(directory):
            config()
            services = [s for s in manifest.load() if wanted.service in (None, s.name)]
            if not services:
                raise ValueError(f"there is no service {wanted.service}")
            for service in services:
                for projector in service.projections:
                    sound = work(service.name, projector) and sound
    except (OSError, ValueError, MissingSettings, Conflict, Unavailable) as fault:
        print(f"The read models cannot be compared or made: {fault}", file=sys.stderr)
        return 2
    return 0 if sound else 1


def _embedded(directory: Path) -> AbstractContextManager[None]:
    """This process as one of the platform's."""
    from infra.local.visit import joined

    return joined(directory, "replay")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
