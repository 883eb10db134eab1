"""Calendars that follow a person's appointments, at a secret address."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from functions.appointment.domain.visits import Visit
from functions.appointment.service.icalendar import feed
from functions.appointment.store import feeds
from shared import audit
from shared.clocks import clock
from shared.config import config
from shared.db import Tx
from shared.errors import NotFound
from shared.privacy import alive
from shared.runtime import database

__all__ = ["begin", "end", "read", "since"]

_PAST = timedelta(days=90)
_MOST = 500


def begin(person_id: UUID) -> str:
    """A new address, and the end of the one before. It is told only now: what is kept is a hash,
    so that nobody who reads the tables can follow anybody. Raises PersonErased."""
    token = secrets.token_urlsafe(32)

    def work(tx: Tx) -> None:
        alive(tx, person_id)
        feeds.keep(tx, person_id, _hash(token), clock().now())
        audit.record(tx, person_id, "create", "calendar feed")

    database("appointment").transaction(work, isolation="READ COMMITTED")
    return f"{config().public_url}/api/appointments/calendar/{token}/appointments.ics"


def end(person_id: UUID) -> None:
    """The address leads nowhere any more; again, nothing changes."""

    def work(tx: Tx) -> None:
        if feeds.drop(tx, person_id):
            audit.record(tx, person_id, "erase", "calendar feed")

    database("appointment").transaction(work)


def since(person_id: UUID) -> datetime:
    """When the address was made. Raises NotFound."""
    at = feeds.made_at(database("appointment"), person_id)
    if at is None:
        raise NotFound("You have no calendar address.")
    return at


def read(token: str) -> tuple[bytes, int]:
    """The calendar, and a number that is another one for another content. Raises NotFound."""
    db, now = database("appointment"), clock().now()
    rows = feeds.of_token(db, _hash(token), since=now - _PAST, now=now, limit=_MOST)
    if not rows:
        raise NotFound("There is no such calendar.")
    shown = [(Visit.of(row), row["changed_at"]) for row in rows if row["appointment_id"]]
    text = feed(shown).encode()
    return text, int.from_bytes(hashlib.sha256(text).digest()[:7], "big")


def _hash(token: str) -> bytes:
    # 256 random bits need no salt and no slowness.
    return hashlib.sha256(token.encode()).digest()
