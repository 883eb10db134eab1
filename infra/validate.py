"""``make validate``: does everything agree that has to? A table with a line for each check; exit 1
when something does not, 2 when it cannot be told.

- people: everybody whom a service knows is in patient (or works here), or was erased, and then only
  what a law holds is left;
- emails: addresses that patient keeps are those of auth;
- projections: read models are what their events make of them;
- outbox, inbox, sagas: nothing waits for longer than it should.

Without ``--service`` it looks at the platform in DATA (``.local``), running or not; ``--service
NAME`` at one service by the environment it runs with, in the cloud. There ``--service auth`` also
compares the people and addresses of all services, which it asks. The schedule does both every day.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from infra import manifest
from shared.config import MissingSettings, config
from shared.errors import Unavailable
from shared.handles import database
from shared.telemetry_export import Serving
from shared.validation import Finding, count, look

if TYPE_CHECKING:
    from functions.auth.service.validation import Asking
    from shared.runtime import Service

__all__ = ["main", "table", "validated"]

_COMPARING = "auth"


def validated(
    services: Sequence[Service], asking: Asking, wait: Callable[[], None]
) -> list[Finding]:
    """What each of ``services`` finds in itself, and what auth, if it is one of them, finds among
    all; messages under way have until ``wait`` returns. Raises Unavailable."""
    from functions.auth.service.validation import compare

    found = [one for s in services for one in look(s.name, database(s.name), s.projections)]
    if any(service.name == _COMPARING for service in services):
        found += compare(asking, wait)
    return found


def table(findings: Sequence[Finding]) -> str:
    """The findings, the worst first."""
    rows = [("check", "service", "violations", "")]
    ordered = sorted(findings, key=lambda f: (-min(f.violations, 1), f.check, f.service))
    rows += [
        (f.check, f.service, str(f.violations), f.about if f.violations else "") for f in ordered
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{check:<{widths[0]}}  {service:<{widths[1]}}  {count:>{widths[2]}}  {about}".rstrip()
        for check, service, count, about in rows
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """0 when all agrees, 1 when something does not, 2 when it cannot be told."""
    parser = argparse.ArgumentParser(description="Look whether everything agrees that has to.")
    parser.add_argument("--service", help="one service, by this environment")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds for what is under way")
    wanted = parser.parse_args(arguments)
    directory = manifest.ROOT / (os.environ.get("DATA") or ".local")
    try:
        with nullcontext() if wanted.service else _embedded(directory):
            config()
            every = manifest.load()
            services = [s for s in every if wanted.service in (None, s.name)]
            if not services:
                raise ValueError(f"there is no service {wanted.service}")
            asking = _asking(every, remote=bool(wanted.service))
            found = validated(services, asking, lambda: time.sleep(wanted.grace))
    except (OSError, ValueError, MissingSettings, Unavailable) as fault:
        print(f"It cannot be validated: {fault}", file=sys.stderr)
        return 2
    print(table(found))
    with Serving("auth"):
        return 1 if count(found) else 0


def _asking(services: Sequence[Service], *, remote: bool) -> Asking:
    from functions.auth.service.validation import Here, Remote

    by_name = {service.name: service for service in services}
    return Remote() if remote else Here(database, lambda name: by_name[name].privacy)


def _embedded(directory: Path) -> AbstractContextManager[None]:
    """This process as one of the platform's."""
    from infra.local.visit import joined

    return joined(directory, "validate")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
