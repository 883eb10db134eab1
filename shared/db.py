"""Transactions on a service's own database: one connection per thread, no session state.

A transaction is a function of ``tx``. It may run more than once: a serialization failure or a
deadlock (SQLSTATE 40001, 40P01) rolls back and runs it again, so it must have no effect besides
its SQL and its emitted messages. These go to the outbox in the same commit and are published
after it.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar

from shared import log
from shared.connect import connect
from shared.errors import Unavailable
from shared.tx import (
    CheckViolation,
    ConstraintViolation,
    ExclusionViolation,
    ForeignKeyViolation,
    LockTimeout,
    Pending,
    Tx,
    UniqueViolation,
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
_RETRYABLE = {"40001", "40P01"}
# Admin shutdown, crash, starting up, too many connections, timeouts that end the session.
_AWAY = {"57P01", "57P02", "57P03", "53300", "25P03", "25P04", "57P05"}


class Contention(Unavailable):
    """Too many changes of the same thing at once: repeat this shortly."""


class Outbox(Protocol):
    """What a Database needs of the outbox (shared/outbox.py)."""

    def write(self, tx: Tx, pending: list[Pending]) -> Any:
        """Insert and commit; the rows this writer may publish, for ``publish``."""

    def publish(self, leased: Any) -> None:
        """Publish after the commit. Never raises: what is left, the sweeper sends."""


def _run(callback: Callable[[], object]) -> None:
    try:
        callback()
    except Exception as error:  # noqa: BLE001 -- the commit stands; a schedule does it later
        log.warning("after_commit_failed", reason=type(error).__name__)


def _away(error: SqlError) -> bool:
    return error.code in _AWAY or error.code.startswith("08")


class Database:
    """One service's database. Safe to share between threads; each has its own connection."""

    def __init__(self, url: str, *, outbox: Outbox | None = None) -> None:
        self._url = url
        self._local = threading.local()
        self.outbox = outbox

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
        """
        begin = f"BEGIN ISOLATION LEVEL {isolation}"
        if lock_timeout:
            begin += f"; SET LOCAL lock_timeout = '{lock_timeout}'"
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0, 0.002 * 2**attempt))  # nosec B311
            fresh = self._fresh()
            tx = Tx(self._wire(), begin)
            self._local.tx = tx
            try:
                result = work(tx)
                leased = None
                if tx.pending:
                    if self.outbox is None:
                        raise RuntimeError("this database has no outbox to emit to")
                    leased = self.outbox.write(tx, tx.pending)
                tx.commit()
            except BaseException as error:
                if self._again(error, tx, fresh=fresh):
                    continue
                raise
            finally:
                self._local.tx = None
            if leased is not None and self.outbox is not None:
                self.outbox.publish(leased)
            for callback in tx.callbacks:
                _run(callback)
            return result
        log.warning("transaction_contention", attempts=_ATTEMPTS)
        raise Contention

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
        for last in (False, True):
            fresh = self._fresh()
            try:
                return self._wire().exchange(*statements)
            except ConnectionLost:
                self.close()
                if last or fresh or not repeatable:
                    raise Unavailable("The database is away.") from None
            except SqlError as error:
                if _away(error):
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
        wire: Wire | None = getattr(self._local, "wire", None)
        self._local.wire = None
        if wire is not None and self._local.pid == os.getpid():
            wire.close()

    def _fresh(self) -> bool:
        """Whether the next statement opens a new connection."""
        return getattr(self._local, "wire", None) is None or self._local.pid != os.getpid()

    def _wire(self) -> Wire:
        if getattr(self._local, "tx", None) is not None:
            # It would run inside that transaction, and end it.
            raise RuntimeError("a transaction is open on this thread: use its tx")
        if self._fresh():
            try:
                # A forked child must not share its parent's connection: keep the owner's pid.
                self._local.wire, self._local.pid = connect(self._url), os.getpid()
            except (ConnectionLost, SqlError) as error:
                log.warning("database_away", reason=str(error))
                raise Unavailable("The database is away.") from None
        wire: Wire = self._local.wire
        return wire

    def _again(self, error: BaseException, tx: Tx, *, fresh: bool) -> bool:
        """Clean up after ``error``; whether the transaction should run again."""
        if isinstance(error, ConnectionLost) or (isinstance(error, SqlError) and _away(error)):
            tx.open = False
            self.close()
            # A connection that died while idle fails its first statement: nothing has happened.
            if not fresh and tx.exchanges == 1 and not tx.committing:
                return True
            log.warning("database_lost")
            raise Unavailable("The database is away.") from None
        try:
            tx.rollback()
        except (ConnectionLost, SqlError):
            self.close()
        return isinstance(error, SqlError) and error.code in _RETRYABLE
