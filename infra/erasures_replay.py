"""After a restore: ``SINCE=2026-01-15T10:00:00Z make erasures-replay``.

Has the running platform erase everybody again whom the ledger names since then. Exit 1 if an entry
cannot be read, so that somebody looks.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime

from infra.client import Answer, Away, Client, NotThere, admin, target

__all__ = ["main"]

_PATIENCE = 600.0  # seconds; thousands of people may have been erased


def main() -> int:
    """Print how many were erased again; the exit code."""
    since = os.environ.get("SINCE", "")
    try:
        if datetime.fromisoformat(since).tzinfo is None:
            raise ValueError
    except ValueError:
        print("SINCE must be a time with its zone, such as 2026-01-15T10:00:00Z", file=sys.stderr)
        return 1
    try:
        client = Client(target(), timeout=_PATIENCE)
        known = admin()
        body = {"email": known.email, "password": known.password}
        token = _ask(client.call("POST", "/api/auth/login", body)).body["access_token"]
        path = "/api/auth/-/erasures/replay"
        done = _ask(client.call("POST", path, {"since": since}, token=token)).body
    except NotThere as fault:
        print(fault, file=sys.stderr)
        return 1
    except Away as fault:
        print(f"Nothing answers at {target()} ({fault}). Start it with make run.", file=sys.stderr)
        return 1
    print(f"Erasures applied again: {done['replayed']}")
    for unreadable in done["unreadable"]:
        print(f"This entry of the ledger cannot be read: {unreadable}", file=sys.stderr)
    return 1 if done["unreadable"] else 0


def _ask(answer: Answer) -> Answer:
    if answer.status != 200:
        raise NotThere(str(answer.body.get("detail", f"The answer was {answer.status}.")))
    return answer


if __name__ == "__main__":
    sys.exit(main())
