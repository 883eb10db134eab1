"""Access tokens that stop working before they expire.

Each service keeps its own table, fed by AccessRevoked, and asks it at most once a second: a
revoked token is refused within that second, and without the database nobody is let in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from shared.clocks import clock
from shared.errors import Unavailable

__all__ = ["LONGEST_LIFE", "Revocations", "purge_revocations", "revoke"]

LONGEST_LIFE = timedelta(hours=1)
"""No access token may live longer: a revocation is forgotten when this time has passed."""

# Clocks differ between machines; a row is kept a little longer than it can be needed.
_MARGIN = timedelta(minutes=10)
# After a failed query the next callers fail at once instead of queueing for the same answer.
_AGAIN = 0.2


class Statements(Protocol):
    """What is needed of an open transaction, ``shared.db.Tx``."""

    def run(self, sql: str, /, **params: Any) -> int:
        """Execute and count the rows touched."""
        ...


class Query(Protocol):
    """``Database.all``: the rows of one statement."""

    def __call__(self, sql: str, /, **params: Any) -> list[dict[str, Any]]:
        """Raises Unavailable when the database is away."""
        ...


class Revocations:
    """What is revoked, as of at most ``max_age`` seconds ago. Safe to share between threads."""

    def __init__(
        self,
        query: Query,
        *,
        max_age: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``query`` runs on the caller's thread, outside any transaction."""
        self._query, self._max_age, self._monotonic = query, max_age, monotonic
        self._lock = threading.Lock()
        self._until: dict[tuple[UUID, UUID | None], float] = {}
        self._fresh_until = self._failing_until = -1.0

    def revoked(self, subject: UUID, session: UUID, issued: float) -> bool:
        """Was the token that ``session`` of ``subject`` got at ``issued`` (Unix seconds) revoked?
        Raises Unavailable when that cannot be known."""
        if self._monotonic() >= self._fresh_until:
            with self._lock:
                if self._monotonic() >= self._fresh_until:
                    self._refresh()
        until = self._until
        if (subject, session) in until:
            return True  # an ended session never begins again: no clock need be compared
        everywhere = until.get((subject, None))
        return everywhere is not None and issued <= everywhere

    def _refresh(self) -> None:
        began = self._monotonic()
        if began < self._failing_until:
            raise Unavailable
        try:
            rows = self._query(
                "select subject, session, revoked_at from revocations where expires_at > :now",
                now=clock().now(),
            )
        except Unavailable:
            self._failing_until = self._monotonic() + _AGAIN
            raise
        self._until = {
            (row["subject"], row["session"]): row["revoked_at"].timestamp() for row in rows
        }
        self._fresh_until = began + self._max_age


def revoke(tx: Statements, subject: UUID, session: UUID | None, at: datetime) -> None:
    """Refuse all tokens that ``subject`` (in ``session``, or in all) was given up to ``at``."""
    tx.run(
        "insert into revocations (subject, session, revoked_at, expires_at)"
        " values (:subject, :session, :at, :expires)"
        " on conflict (subject, session) do update set"
        " revoked_at = greatest(revocations.revoked_at, excluded.revoked_at),"
        " expires_at = greatest(revocations.expires_at, excluded.expires_at)",
        subject=subject,
        session=session,
        at=at,
        expires=at + LONGEST_LIFE + _MARGIN,
    )


def purge_revocations(tx: Statements) -> int:
    """Delete the rows whose tokens have all expired; how many."""
    return tx.run("delete from revocations where expires_at <= :now", now=clock().now())
