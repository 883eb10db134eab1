"""The synthetic services on the embedded stack's own pieces: bus, dispatcher, gunicorn."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from infra.bench import services
from infra.bench.place import SYNTHETIC, Place
from shared.db import Database

__all__ = ["wait_for", "wired"]


@contextmanager
def wired(place: Place) -> Iterator[Database]:
    """Everything up and no effects yet; gives the superuser's handle on beta's database."""
    for name in SYNTHETIC:
        db = place.admin(f"{name}_db")
        db.all("truncate effects, outbox, inbox, sagas cascade")
        db.close()
    bus = place.admin("bus_db")
    bus.all("truncate delivery")
    bus.all("delete from subscription")
    bus.close()
    port = place.serve("services", SYNTHETIC)
    place.dispatch(services.subscriptions(port))
    beta = place.admin("beta_db")
    try:
        yield beta
    finally:
        beta.close()
        place.end("dispatcher", "services")


def wait_for(
    db: Database, count: int, what: Sequence[str], patience: float = 20.0, pause: float = 0.02
) -> int:
    """Wait until ``effects`` has ``count`` rows of ``what``, or for ``patience`` seconds; how
    many there are."""
    until = time.monotonic() + patience
    while True:
        row = db.one("select count(*) as n from effects where what = any(:what)", what=list(what))
        found = int(row["n"]) if row else 0
        if found >= count or time.monotonic() > until:
            return found
        time.sleep(pause)
