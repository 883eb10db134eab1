"""PostgreSQL's extended protocol in one round trip, over pg8000's connection.

pg8000 sends parse, describe and execute of a parametrised statement in three flushes (4.2 ms at
1 ms round trip against 1.5 ms in one). This sends any number of statements in a single flush and
then reads their answers: the statement that opens a transaction travels with ``BEGIN``, the last
with ``COMMIT``, and an outbox mark with the probe that must follow it in a statement of its own.

It works on any ``pg8000.core.CoreConnection`` (its ``native`` and ``dbapi`` classes, so also what
the Cloud SQL connector returns) through the members named in tests/contract/test_wire.py; the
version of pg8000 is pinned for that reason. No statement is named: nothing survives in the
session, so a transaction pooler may stand in between.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from shared.wire_codec import TIMESTAMPTZ, array, compiled, described, instant, int_at, length

__all__ = ["ConnectionLost", "Row", "SqlError", "Statement", "Wire"]

Row = dict[str, Any]

_count = struct.Struct("!H").pack
# Describe the portal, execute it to the end, sync.
_RUN = b"D" + length(6) + b"P\0" + b"E" + length(9) + b"\0" + length(0) + b"S" + length(4)
# What the sockets' buffers surely hold. Were more to follow a statement in one flush, we could be
# stuck writing while the server is stuck writing that statement's answer.
_FOLLOWERS = 65_536
_CHUNK = 65_536
_DATA_ROW, _ROW_DESCRIPTION, _READY = b"DTZ"
# ParseComplete, BindComplete, NoData: they say nothing that is not known from what follows.
_SILENT = frozenset(b"12n")


class ConnectionLost(Exception):
    """The connection broke; whether the last statement took effect is unknown."""


class SqlError(Exception):
    """PostgreSQL refused a statement. ``code`` is its SQLSTATE.

    The server's message may quote data, so only its harmless parts are kept.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.code = fields.get("C", "XX000")
        self.constraint = fields.get("n", "")
        # Class 42 (syntax, unknown names) quotes identifiers only.
        message = fields.get("M", "") if self.code.startswith("42") else ""
        where = [fields.get("t", ""), fields.get("c", ""), self.constraint, message]
        super().__init__(" ".join(["SQLSTATE", self.code, *filter(None, where)]))

    @classmethod
    def of(cls, error: Exception) -> Self:
        """From pg8000's DatabaseError."""
        fields = error.args[0] if error.args else {}
        return cls(fields if isinstance(fields, dict) else {})


@dataclass(slots=True)
class Statement:
    """One statement with ``:name`` parameters; without any it goes as a simple query."""

    sql: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """What one statement returned."""

    rows: list[Row]
    count: int


class Wire:
    """One connection. Not for several threads."""

    def __init__(self, core: Any) -> None:
        self._core = core
        # Without these a list's "null" would arrive as NULL: pg8000 quotes only what it must.
        self._types = {**core.py_types, list: array, tuple: array}
        core.pg_types[TIMESTAMPTZ] = instant
        # What has been received and not been looked at yet, from ``_at`` on.
        self._data, self._at = b"", 0

    def exchange(
        self, *statements: Statement, sent: Callable[[], None] | None = None
    ) -> list[Answer]:
        """Send all ``statements`` in one flush and read every answer.

        (In more flushes when what follows the first statement exceeds 64 KiB.) Each runs whatever
        became of the ones before it, as far as the server's transaction state lets it. Raises the
        first SqlError after reading all answers, or ConnectionLost. When anything else interrupts
        the reading, the connection is closed: the next reader must not find these answers.
        ``sent`` is called when everything is on its way and the last answer is not read yet.
        """
        messages = [self._message(statement) for statement in statements]
        answers: list[Answer] = []
        first: SqlError | None = None
        try:
            for start, end in _flushes([len(message) for message in messages]):
                self._core._sock.write(b"".join(messages[start:end]))
                self._core._sock.flush()
                for at, statement in enumerate(statements[start:end], start + 1):
                    if sent is not None and at == len(statements):
                        sent()
                    answer = self._read(statement)
                    if isinstance(answer, SqlError):
                        first = first or answer
                    else:
                        answers.append(answer)
        except (ConnectionLost, OSError, ValueError, AttributeError):
            self.close()
            if first is None:
                raise ConnectionLost from None
        except BaseException:
            self.close()
            raise
        if first is not None:
            raise first
        return answers

    def close(self) -> None:
        """Close the connection; a broken one is simply dropped."""
        from pg8000.exceptions import InterfaceError

        try:
            self._core.close()
        except (InterfaceError, OSError, ValueError, AttributeError):
            return

    def _read(self, statement: Statement) -> Answer | SqlError:
        from pg8000.exceptions import DatabaseError, InterfaceError

        context = _Context(statement.sql)
        try:
            self._handle_messages(context)
        except (InterfaceError, struct.error):
            raise ConnectionLost from None
        except _Ended:
            # FATAL: the server said why, then closed the connection.
            if context.error is None:
                raise ConnectionLost from None
        if isinstance(context.error, DatabaseError):
            return SqlError.of(context.error)
        if context.error is not None:
            # A COMMIT of a failed transaction: the server rolled back and called it success.
            return SqlError({"C": "25P02"})
        return Answer(context.rows or [], max(context.row_count, 0))

    def _handle_messages(self, context: _Context) -> None:
        """Read up to ReadyForQuery, as ``CoreConnection.handle_messages`` does.

        That takes two reads and a dispatch per message and describes every column anew, which
        costs more than the rest of a short exchange; here they come from one buffer.
        """
        core, data, at = self._core, self._data, self._at
        names: Sequence[str] = ()
        decoders: list[Callable[[str], Any]] = []
        while True:
            end = at + 5
            if len(data) >= end:
                end = at + 1 + int_at(data, at + 1)[0]
            if len(data) < end:
                more = core._sock.read1(_CHUNK)
                if not more:
                    raise _Ended
                data, at = data[at:] + more, 0
                continue
            code = data[at]
            if code == _DATA_ROW and context.rows is not None:
                values: list[Any] = []
                start = at + 7
                for decode in decoders:
                    stop = start + 4
                    size = int_at(data, start)[0]
                    if size < 0:
                        values.append(None)
                    else:
                        stop += size
                        values.append(decode(str(data[start + 4 : stop], core._client_encoding)))
                    start = stop
                context.rows.append(dict(zip(names, values, strict=True)))
            elif code == _ROW_DESCRIPTION:
                names, types = described(data[at + 5 : end], core._client_encoding)
                decoders = [core.pg_types[oid] for oid in types]
                if context.rows is None:
                    context.rows = []
            elif code not in _SILENT:
                core.message_types[data[at : at + 1]](data[at + 5 : end], context)
                if code == _READY:
                    self._data, self._at = data, end
                    return
            at = end

    def _message(self, statement: Statement) -> bytes:
        if not statement.params:
            body = statement.sql.encode() + b"\0"
            return b"Q" + length(len(body) + 4) + body
        from pg8000.converters import make_params

        parse, names = compiled(statement.sql)
        values = make_params(self._types, [statement.params[name] for name in names])
        bind = bytearray(b"\0\0\0\0")
        bind += _count(len(values))
        for value in values:
            if value is None:
                bind += b"\xff\xff\xff\xff"
            else:
                data = value.encode()
                bind += length(len(data)) + data
        bind += b"\0\0"
        return b"".join((parse, b"B", length(len(bind) + 4), bind, _RUN))


class _Ended(Exception):
    """The server closed the connection."""


class _Context:
    """What becomes known of one statement; pg8000's message handlers fill in most of it."""

    __slots__ = ("columns", "error", "input_funcs", "row_count", "rows", "statement", "stream")

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.rows: list[Row] | None = None
        self.row_count = -1
        self.stream = None
        self.error: Exception | None = None


def _flushes(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut the messages into runs in which at most _FOLLOWERS bytes follow the first."""
    start, following = 0, 0
    for at in range(1, len(sizes)):
        following += sizes[at]
        if following > _FOLLOWERS:
            yield start, at
            start, following = at, 0
    yield start, len(sizes)
