"""A transaction that stays open until the request it belongs to has its answer.

A repeated request gets its first answer again, so that answer is stored in the transaction of the
effect (docs/decisions/0008). The request's first transaction is held; what the request does in
this database after it becomes a part of it. Each part stands behind a savepoint: one that fails is
undone alone, as a transaction of its own would be, and the next statement works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from shared.tx import Tx

__all__ = ["Held"]

T = TypeVar("T")


class Held:
    """What one request holds in one database; on the thread of that request only."""

    def __init__(self, claim: Callable[[Tx], None]) -> None:
        """``claim`` is what a transaction does first; what it raises refuses the transaction."""
        self.claim = claim
        self.tx: Tx | None = None
        self._isolation = ""
        self._savepoint = "savepoint part"

    def take(self, tx: Tx, isolation: str) -> None:
        """``tx`` has done its work and waits from now on."""
        self.tx, self._isolation = tx, isolation
        tx.held = True

    def part(
        self,
        tx: Tx,
        work: Callable[[Tx], T],
        *,
        isolation: str | None = None,
        lock_timeout: str | None = None,
    ) -> T:
        """Run ``work`` as one more part of ``tx``; whatever it raises comes out.

        Raises RuntimeError where it asks for another isolation level than ``tx`` has: it would
        see what it must not, or not see what it must.
        """
        if isolation is not None and isolation != self._isolation:
            raise RuntimeError(
                f"one request, one isolation level: {isolation} cannot join {self._isolation}"
            )
        emitted, registered, kept = len(tx.pending), len(tx.callbacks), tx.kept
        mark = self._savepoint
        if lock_timeout:
            mark += f"; SET LOCAL lock_timeout = '{lock_timeout}'"
        # It travels with the part's first statement, and not at all where there is none.
        tx.open_with(mark)
        try:
            return work(tx)
        except BaseException:
            del tx.pending[emitted:], tx.callbacks[registered:]
            tx.kept = kept
            if tx.begun:
                tx.run("rollback to savepoint part")
            raise
        finally:
            if tx.begun:
                self._savepoint = "release savepoint part; savepoint part"
            tx.open_with(None)
