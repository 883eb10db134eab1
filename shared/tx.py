"""An open transaction: statements, emitted messages, and what PostgreSQL may refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shared import faults, log
from shared.errors import Unavailable
from shared.wire import Answer, ConnectionLost, Row, SqlError, Statement, Wire

if TYPE_CHECKING:
    from shared.crypto import Subject
    from shared.messages import Message, SagaContext

__all__ = [
    "CheckViolation",
    "ConstraintViolation",
    "Contention",
    "ExclusionViolation",
    "ForeignKeyViolation",
    "LockTimeout",
    "Pending",
    "Tx",
    "UniqueViolation",
    "away",
    "retryable",
    "translated",
]


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


# Serialization failure, deadlock.
_RETRYABLE = {"40001", "40P01"}
# Admin shutdown, crash, starting up, too many connections, timeouts that end the session.
_AWAY = {"57P01", "57P02", "57P03", "53300", "25P03", "25P04", "57P05"}
_VIOLATIONS: dict[str, type[ConstraintViolation]] = {
    "23505": UniqueViolation,
    "23503": ForeignKeyViolation,
    "23514": CheckViolation,
    "23P01": ExclusionViolation,
}


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
        self.committing = False
        """COMMIT has been sent: when the connection breaks now, the outcome is unknown."""
        self.pending: list[Pending] = []
        self.callbacks: list[Callable[[], object]] = []
        self.keys: dict[UUID, Subject] = {}
        """Keys of people that it has read, and nothing keeps longer (shared/eventstore.py)."""
        self.held = False
        """Its commit waits for somebody else (shared/held.py)."""
        self.kept = False

    @property
    def begun(self) -> bool:
        """What opens it has been sent."""
        return self._begin is None

    def open_with(self, sql: str | None) -> None:
        """Let ``sql`` travel ahead of the next statement (None: nothing)."""
        self._begin = sql

    def all(self, sql: str, /, **params: Any) -> list[Row]:
        """Every row. Raises ConstraintViolation, LockTimeout."""
        return self._exchange(Statement(sql, params))[0].rows

    def one(self, sql: str, /, **params: Any) -> Row | None:
        """The first row, or None."""
        rows = self.all(sql, **params)
        return rows[0] if rows else None

    def value(self, sql: str, /, **params: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.one(sql, **params)
        return None if row is None else next(iter(row.values()))

    def run(self, sql: str, /, **params: Any) -> int:
        """How many rows it touched."""
        return self._exchange(Statement(sql, params))[0].count

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

    def after(self, callback: Callable[[], object]) -> None:
        """Run ``callback`` once this has committed and its messages are published.

        For what may also be done later by a schedule (send what waits, refresh a view): the
        process may die before, and an exception is logged and goes no further.
        """
        self.callbacks.append(callback)

    def keep(self) -> None:
        """What this transaction does stands even if the request it belongs to is refused.

        Without an Idempotency-Key that is so anyway; with one, a refused request is rolled back.
        """
        self.kept = True

    def batch(self, *statements: Statement) -> list[Answer]:
        """Several statements in one round trip, each with a snapshot of its own under READ
        COMMITTED. Raises as ``all``."""
        return self._exchange(*statements)

    def finish(self, sql: str, /, **params: Any) -> list[Row]:
        """Run one last statement and COMMIT in the same round trip, unless the commit is held."""
        return self.close_with(Statement(sql, params))[-1].rows

    def close_with(self, *last: Statement) -> list[Answer]:
        """``finish`` with several statements."""
        return self._exchange(*last, commit=not self.held)

    def commit(self) -> None:
        """Commit what was begun."""
        if self.open:
            self.committing = True
            self._send([Statement("COMMIT")])
            self.open = False

    def rollback(self) -> None:
        """Undo everything; a broken connection has done so by itself."""
        if self.open:
            self.open = False
            self._wire.exchange(Statement("ROLLBACK"))

    def committed(self) -> None:
        """Run what was to be done after the commit."""
        for callback in self.callbacks:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 -- the commit stands; a schedule does it later
                log.warning("after_commit_failed", reason=type(error).__name__)

    def _exchange(self, *statements: Statement, commit: bool = False) -> list[Answer]:
        batch = list(statements)
        at = 0
        if self._begin is not None:
            batch.insert(0, Statement(self._begin))
            self._begin, at = None, 1
        if commit:
            batch.append(Statement("COMMIT"))
            self.committing = True
        self.open = True
        answers = self._send(batch)[at : at + len(statements)]
        self.open = not commit
        return answers

    def _send(self, batch: list[Statement]) -> list[Answer]:
        self.exchanges += 1
        passing = self._pass if self.committing and faults.armed() else None
        try:
            return self._wire.exchange(*batch, sent=passing)
        except SqlError as error:
            raise translated(error) from None

    def _pass(self) -> None:
        faults.point("db.committing", cut=self._cut)

    def _cut(self) -> None:
        self._wire.close()
        raise ConnectionLost


def retryable(error: BaseException) -> bool:
    """The same transaction may succeed when it is run again."""
    return isinstance(error, SqlError) and error.code in _RETRYABLE


def away(error: BaseException) -> bool:
    """The connection is broken, or the server ends it or does not take it."""
    if isinstance(error, SqlError):
        return error.code in _AWAY or error.code.startswith("08")
    return isinstance(error, ConnectionLost)


def translated(error: SqlError) -> Exception:
    """``error`` as what callers may catch, where there is such a thing."""
    if violation := _VIOLATIONS.get(error.code):
        return violation(error.constraint)
    if error.code == "55P03":
        return LockTimeout()
    return error
