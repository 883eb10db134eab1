"""Transactions on a service's own database: one connection per thread, no session state.

A transaction is a function of ``tx``. It may run more than once: a serialization failure or a
deadlock (SQLSTATE 40001, 40P01) rolls back and runs it again, so it must have no effect besides
its SQL and its emitted messages. These go to the outbox in the same commit and are published
after it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal, Protocol, TypeVar

from shared import log
from shared.connect import Connections
from shared.errors import Unavailable
from shared.held import Held
from shared.tx import (
    CheckViolation,
    ConstraintViolation,
    Contention,
    ExclusionViolation,
    ForeignKeyViolation,
    LockTimeout,
    Pending,
    Tx,
    UniqueViolation,
    away,
    retryable,
    translated,
)
from shared.wire import Answer, ConnectionLost, Row, SqlError, Statement, Wire

__all__ = [
    "CheckViolation",
    "ConstraintViolation",
    "Contention",
    "Database",
    "ExclusionViolation",
    "ForeignKeyViolation",
    "Isolation",
    "LockTimeout",
    "Pending",
    "Row",
    "Tx",
    "UniqueViolation",
]

T = TypeVar("T")
Isolation = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

_ATTEMPTS = 8
_NESTED = "a transaction is open on this thread: use its tx"


class Outbox(Protocol):
    """What a Database needs of the outbox (shared/outbox.py)."""

    def bind(self, db: Database) -> None:
        """This database holds the rows, and nobody else writes them."""

    def write(self, tx: Tx, pending: list[Pending], *before: Statement) -> Any:
        """Insert behind ``before`` and commit; the rows this writer may publish, for
        ``publish``."""

    def publish(self, leased: Any) -> None:
        """Publish after the commit. Never raises: what is left, the sweeper sends."""


class Database:
    """One service's database. Safe to share between threads; each has its own connection."""

    def __init__(self, url: str, *, outbox: Outbox | None = None) -> None:
        self._url = url
        self._connections = Connections(url)
        self._local = threading.local()
        self.outbox = outbox
        if outbox is not None:
            outbox.bind(self)

    def transaction(
        self,
        work: Callable[[Tx], T],
        *,
        isolation: Isolation = "REPEATABLE READ",
        lock_timeout: str | None = None,
    ) -> T:
        """Run ``work`` in one transaction and return what it returns, once committed.

        Raises what ``work`` raises (rolled back), Contention when retries do not help, and
        Unavailable when PostgreSQL is away. If it goes away during COMMIT the outcome is
        unknown to us: repeating is up to the caller, who is told so by 503.

        In a request with an Idempotency-Key the commit waits for the answer (``holding``).
        """
        held = self._held()
        if held is not None and held.tx is not None:
            return self._join(held, held.tx, work, isolation, lock_timeout)
        begin = f"BEGIN ISOLATION LEVEL {isolation}"
        if lock_timeout:
            begin += f"; SET LOCAL lock_timeout = '{lock_timeout}'"
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0, 0.002 * 2**attempt))  # nosec B311
            fresh = self._connections.fresh
            tx = Tx(self._wire(), begin)
            self._local.tx = tx
            leased = None
            try:
                if held is not None:
                    held.claim(tx)
                result = work(tx)
                if held is None:
                    leased = self._commit(tx)
            except BaseException as error:
                if self._again(error, tx, fresh=fresh):
                    continue
                raise
            finally:
                self._local.tx = None
            if held is not None:
                held.take(tx, isolation)
            else:
                self._follow(tx, leased)
            return result
        log.warning("transaction_contention", attempts=_ATTEMPTS)
        raise Contention

    def apart(self, work: Callable[[Tx], T], *, isolation: Isolation = "REPEATABLE READ") -> T:
        """``transaction`` for what must stand whatever becomes of the request at hand, and is
        used before that ends (a key that will sign its answer).

        Under REPEATABLE READ what the request holds already does not see it.
        """
        held, self._local.held = self._held(), None
        beside = held is not None and held.tx is not None
        try:
            with self._connections.aside() if beside else nullcontext():
                return self.transaction(work, isolation=isolation)
        finally:
            self._local.held = held

    @contextmanager
    def holding(self, claim: Callable[[Tx], None]) -> Iterator[Held]:
        """Hold back the commit of what this thread does here inside the block.

        Its first transaction begins with ``claim`` and stays open; later transactions and
        statements join it. ``settle`` commits; what is not settled is rolled back, unless part
        of it was to stand anyway (``Tx.keep``).
        """
        held = self._local.held = Held(claim)
        try:
            yield held
        finally:
            self._local.held = None
            tx = held.tx
            if tx is not None and tx.open:
                if tx.kept:
                    self.settle(tx)
                else:
                    self._drop(tx)

    def settle(self, tx: Tx, last: Statement | None = None) -> None:
        """Commit what was held, and ``last`` with it; publish. Raises as ``transaction``, but
        Contention at once: only who repeats the request can run it again."""
        if not tx.open:
            raise Unavailable("The database is away.")
        self._local.held, tx.held = None, False
        try:
            leased = self._commit(tx, last)
        except BaseException as error:
            if self._again(error, tx, fresh=True):
                raise Contention from None
            raise
        self._follow(tx, leased)

    def all(self, sql: str, /, **params: Any) -> list[Row]:
        """The rows of one read in a snapshot of its own: one round trip."""
        return self.pipeline(Statement(sql, params), repeatable=True)[0].rows

    def one(self, sql: str, /, **params: Any) -> Row | None:
        """The first row of ``all``, or None."""
        rows = self.all(sql, **params)
        return rows[0] if rows else None

    def pipeline(self, *statements: Statement, repeatable: bool = False) -> list[Answer]:
        """Several statements, each its own transaction, in one round trip.

        ``repeatable`` says that running them twice does no harm, so that a connection which
        died while idle is replaced silently. Raises Unavailable, ConstraintViolation.
        """
        held = self._held()
        if held is not None and held.tx is not None:
            return self._join(held, held.tx, lambda tx: tx.batch(*statements))
        for last in (False, True):
            fresh = self._connections.fresh
            try:
                return self._wire().exchange(*statements)
            except ConnectionLost:
                self.close()
                if last or fresh or not repeatable:
                    raise Unavailable("The database is away.") from None
            except SqlError as error:
                if away(error):
                    self.close()
                    if not last and not fresh and repeatable:
                        continue
                    raise Unavailable("The database is away.") from None
                raise translated(error) from None
        raise AssertionError("unreachable")

    def twin(self) -> Database:
        """The same database through connections of its own, without the outbox: for what must
        not wait for, nor vanish with, the transaction that is open on this thread."""
        return Database(self._url)

    def close(self) -> None:
        """Drop this thread's connection."""
        self._connections.close()

    def _held(self) -> Held | None:
        return getattr(self._local, "held", None)

    def _join(
        self,
        held: Held,
        tx: Tx,
        work: Callable[[Tx], T],
        isolation: Isolation | None = None,
        lock_timeout: str | None = None,
    ) -> T:
        """Run ``work`` as part of the transaction that this thread's request holds."""
        if getattr(self._local, "tx", None) is not None:
            raise RuntimeError(_NESTED)
        if not tx.open:
            raise Unavailable("The database is away.")
        self._local.tx = tx
        try:
            return held.part(tx, work, isolation=isolation, lock_timeout=lock_timeout)
        except (ConnectionLost, SqlError) as error:
            if away(error):
                tx.open = False
                self.close()
                log.warning("database_lost")
                raise Unavailable("The database is away.") from None
            # Its snapshot is the held transaction's: running it again would fail again.
            if retryable(error):
                raise Contention from None
            raise
        finally:
            self._local.tx = None

    def _commit(self, tx: Tx, last: Statement | None = None) -> Any:
        """Commit with ``last`` and the emitted messages; what of these ``publish`` may send."""
        if not tx.pending:
            if last is None:
                tx.commit()
            else:
                tx.finish(last.sql, **last.params)
            return None
        if self.outbox is None:
            raise RuntimeError("this database has no outbox to emit to")
        return self.outbox.write(tx, tx.pending, *([last] if last else []))

    def _follow(self, tx: Tx, leased: Any) -> None:
        """What comes after a commit."""
        if leased is not None and self.outbox is not None:
            self.outbox.publish(leased)
        tx.committed()

    def _drop(self, tx: Tx) -> None:
        try:
            tx.rollback()
        except (ConnectionLost, SqlError):
            self.close()

    def _wire(self) -> Wire:
        if getattr(self._local, "tx", None) is not None:
            # It would run inside that transaction, and end it.
            raise RuntimeError(_NESTED)
        return self._connections.wire()

    def _again(self, error: BaseException, tx: Tx, *, fresh: bool) -> bool:
        """Clean up after ``error``; whether the transaction should run again."""
        if away(error):
            tx.open = False
            self.close()
            # A connection that died while idle fails its first statement: nothing has happened.
            if not fresh and tx.exchanges == 1 and not tx.committing:
                return True
            log.warning("database_lost")
            raise Unavailable("The database is away.") from None
        self._drop(tx)
        return retryable(error)
