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
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar
from uuid import UUID

from shared import log
from shared.errors import Unavailable
from shared.wire import Answer, ConnectionLost, Row, SqlError, Statement, Wire, connect

if TYPE_CHECKING:
    from shared.messages import Message, SagaContext

__all__ = [
    "CheckViolation",
    "ConstraintViolation",
    "Contention",
    "Database",
    "ExclusionViolation",
    "ForeignKeyViolation",
    "Isolation",
    "LockTimeout",
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


class ConstraintViolation(Exception):
    """A constraint refused the write; ``constraint`` names it."""

    def __init__(self, constraint: str) -> None:
        self.constraint = constraint
        super().__init__(constraint)


class UniqueViolation(ConstraintViolation):
    """SQLSTATE 23505."""


class ForeignKeyViolation(ConstraintViolation):
    """SQLSTATE 23503."""


class CheckViolation(ConstraintViolation):
    """SQLSTATE 23514."""


class ExclusionViolation(ConstraintViolation):
    """SQLSTATE 23P01."""


class LockTimeout(Unavailable):
    """Somebody else is changing the same thing: repeat this shortly."""


class Contention(Unavailable):
    """Too many changes of the same thing at once: repeat this shortly."""


_VIOLATIONS: dict[str, type[ConstraintViolation]] = {
    "23505": UniqueViolation,
    "23503": ForeignKeyViolation,
    "23514": CheckViolation,
    "23P01": ExclusionViolation,
}


class Outbox(Protocol):
    """What a Database needs of the outbox (shared/outbox.py)."""

    def write(self, tx: Tx, pending: list[Pending]) -> Any:
        """Insert and commit; the rows this writer may publish, for ``publish``."""

    def publish(self, leased: Any) -> None:
        """Publish after the commit. Never raises: what is left, the sweeper sends."""


class Pending:
    """A message emitted in a transaction that is not committed yet."""

    __slots__ = ("event_id", "key", "message", "saga", "version")

    def __init__(
        self,
        message: Message,
        key: UUID | str | None,
        version: int | None,
        event_id: UUID | None,
        saga: SagaContext | None,
    ) -> None:
        self.message = message
        self.key = key
        self.version = version
        self.event_id = event_id
        self.saga = saga


class Tx:
    """An open transaction. Statements take ``:name`` parameters; rows are dicts."""

    def __init__(self, wire: Wire, begin: str) -> None:
        self._wire = wire
        self._begin: str | None = begin
        self.open = False
        """The server may hold a transaction for us."""
        self.exchanges = 0
        self.pending: list[Pending] = []

    def all(self, sql: str, **params: Any) -> list[Row]:
        """Every row. Raises ConstraintViolation, LockTimeout."""
        return self._exchange(Statement(sql, params)).rows

    def one(self, sql: str, **params: Any) -> Row | None:
        """The first row, or None."""
        rows = self.all(sql, **params)
        return rows[0] if rows else None

    def value(self, sql: str, **params: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.one(sql, **params)
        return None if row is None else next(iter(row.values()))

    def run(self, sql: str, **params: Any) -> int:
        """How many rows it touched."""
        return self._exchange(Statement(sql, params)).count

    def emit(
        self,
        message: Message,
        *,
        key: UUID | str | None = None,
        version: int | None = None,
        event_id: UUID | None = None,
        saga: SagaContext | None = None,
    ) -> None:
        """Send ``message`` if and only if this transaction commits.

        The caller has inserted, or locked *and changed*, the row that ``key`` names: that is
        what keeps one key's messages in order under every isolation level (docs/kit.md).
        """
        self.pending.append(Pending(message, key, version, event_id, saga))

    def finish(self, sql: str, **params: Any) -> list[Row]:
        """Run one last statement and COMMIT in the same round trip."""
        return self._exchange(Statement(sql, params), commit=True).rows

    def commit(self) -> None:
        """Commit what was begun."""
        if self.open:
            self._send([Statement("COMMIT")])
            self.open = False

    def rollback(self) -> None:
        """Undo everything; a broken connection has done so by itself."""
        if self.open:
            self.open = False
            self._wire.exchange(Statement("ROLLBACK"))

    def _exchange(self, statement: Statement, *, commit: bool = False) -> Answer:
        batch = [statement]
        at = 0
        if self._begin is not None:
            batch.insert(0, Statement(self._begin))
            self._begin, at = None, 1
        if commit:
            batch.append(Statement("COMMIT"))
        self.open = True
        answer = self._send(batch)[at]
        self.open = not commit
        return answer

    def _send(self, batch: list[Statement]) -> list[Answer]:
        self.exchanges += 1
        try:
            return self._wire.exchange(*batch)
        except SqlError as error:
            raise _translated(error) from None


def _translated(error: SqlError) -> Exception:
    if violation := _VIOLATIONS.get(error.code):
        return violation(error.constraint)
    if error.code == "55P03":
        return LockTimeout()
    return error


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
                time.sleep(random.uniform(0, 0.002 * 2**attempt))
            fresh = self._fresh()
            tx = Tx(self._wire(), begin)
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
            if leased is not None and self.outbox is not None:
                self.outbox.publish(leased)
            return result
        log.warning("transaction_contention", attempts=_ATTEMPTS)
        raise Contention

    def all(self, sql: str, **params: Any) -> list[Row]:
        """The rows of one read in a snapshot of its own: one round trip."""
        return self.pipeline(Statement(sql, params), repeatable=True)[0].rows

    def one(self, sql: str, **params: Any) -> Row | None:
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
                if error.code in _AWAY:
                    self.close()
                    if not last and not fresh and repeatable:
                        continue
                    raise Unavailable("The database is away.") from None
                raise _translated(error) from None
        raise AssertionError("unreachable")

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
        lost = isinstance(error, ConnectionLost) or (
            isinstance(error, SqlError) and error.code in _AWAY
        )
        began = tx.open
        if lost:
            tx.open = False
            self.close()
            # A connection that died while idle fails its first statement: nothing has happened.
            if not fresh and began and tx.exchanges == 1:
                return True
            log.warning("database_lost")
            raise Unavailable("The database is away.") from None
        try:
            tx.rollback()
        except (ConnectionLost, SqlError):
            self.close()
        return isinstance(error, SqlError) and error.code in _RETRYABLE
