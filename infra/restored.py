"""``make restored``: after a restore, before anybody may use the platform.

Begins a new epoch of events and audit rows in every service of the platform in DATA (``.local``),
running or not, or with ``--service NAME`` in the one that the environment describes. Transaction
ids of a restored database say nothing about what was read or sealed before; behind the new epoch
they need not.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from infra import manifest
from shared.config import MissingSettings, config
from shared.db import Database
from shared.errors import Unavailable
from shared.event_gate import bump_epoch

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """0 when every service has a new epoch, 1 when one has not; it may be run again."""
    parser = argparse.ArgumentParser(description="Announce that databases were restored.")
    parser.add_argument("--service", help="one service, by this environment")
    service = parser.parse_args(arguments).service
    directory = manifest.ROOT / (os.environ.get("DATA") or ".local")
    try:
        if service:
            _announce(service, config().database_url(service))
        else:
            _everywhere(directory)
    except (OSError, ValueError, MissingSettings, Unavailable) as fault:
        print(f"Not announced everywhere: {fault}", file=sys.stderr)
        return 1
    print("Now apply the erasures since then again: make erasures-replay SINCE=...")
    return 0


def _everywhere(directory: Path) -> None:
    from infra.local.visit import visiting

    with visiting(directory, "restored") as (_, urls):
        for service in manifest.service_names():
            _announce(service, urls[service])


def _announce(service: str, url: str) -> None:
    db = Database(url)
    try:
        epoch = db.transaction(bump_epoch, isolation="READ COMMITTED")
    finally:
        db.close()
    print(f"{service}: epoch {epoch} of its events and audit rows begins")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
