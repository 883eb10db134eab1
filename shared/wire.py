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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

__all__ = ["ConnectionLost", "Row", "SqlError", "Statement", "Wire"]

Row = dict[str, Any]

_length = struct.Struct("!i").pack
_count = struct.Struct("!H").pack
# Describe the portal, execute it to the end, sync.
_RUN = b"D" + _length(6) + b"P\0" + b"E" + _length(9) + b"\0" + _length(0) + b"S" + _length(4)
# What the sockets' buffers surely hold. Were more to follow a statement in one flush, we could be
# stuck writing while the server is stuck writing that statement's answer.
_FOLLOWERS = 65_536


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
        self._types = {**core.py_types, list: _array, tuple: _array}

    def exchange(self, *statements: Statement) -> list[Answer]:
        """Send all ``statements`` in one flush and read every answer.

        (In more flushes when what follows the first statement exceeds 64 KiB.) Each runs whatever
        became of the ones before it, as far as the server's transaction state lets it. Raises the
        first SqlError after reading all answers, or ConnectionLost. When anything else interrupts
        the reading, the connection is closed: the next reader must not find these answers.
        """
        messages = [self._message(statement) for statement in statements]
        answers: list[Answer] = []
        first: SqlError | None = None
        try:
            for start, end in _flushes([len(message) for message in messages]):
                self._core._sock.write(b"".join(messages[start:end]))
                self._core._sock.flush()
                for statement in statements[start:end]:
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
            self._core.handle_messages(context)
        except DatabaseError as error:
            return SqlError.of(error)
        except (InterfaceError, struct.error) as error:
            if isinstance(context.error, DatabaseError):
                # FATAL: the server said why, then closed the connection.
                return SqlError.of(context.error)
            if error is context.error:
                # A COMMIT of a failed transaction: the server rolled back and called it success.
                return SqlError({"C": "25P02"})
            raise ConnectionLost from None
        return _answer(context)

    def _message(self, statement: Statement) -> bytes:
        if not statement.params:
            body = statement.sql.encode() + b"\0"
            return b"Q" + _length(len(body) + 4) + body
        from pg8000.converters import make_params

        sql, names = _compiled(statement.sql)
        values = make_params(self._types, [statement.params[name] for name in names])
        parse = b"\0" + sql.encode() + b"\0\0\0"
        bind = bytearray(b"\0\0\0\0")
        bind += _count(len(values))
        for value in values:
            if value is None:
                bind += b"\xff\xff\xff\xff"
            else:
                data = value.encode()
                bind += _length(len(data)) + data
        bind += b"\0\0"
        return b"".join(
            (b"P", _length(len(parse) + 4), parse, b"B", _length(len(bind) + 4), bind, _RUN)
        )


class _Context:
    """What pg8000's message handlers fill in for one statement."""

    __slots__ = ("columns", "error", "input_funcs", "row_count", "rows", "statement", "stream")

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.rows: list[list[Any]] | None = None
        self.row_count = -1
        self.columns: list[dict[str, Any]] | None = None
        self.stream = None
        self.input_funcs: list[Any] = []
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


def _array(values: Sequence[Any]) -> str:
    """The text of an array, every element quoted."""
    from pg8000.converters import PY_TYPES, make_param

    def text(value: Any) -> str:
        if isinstance(value, list | tuple):
            return _array(value)
        plain: str | None = make_param(PY_TYPES, value)
        if plain is None:
            return "NULL"
        return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "{" + ",".join(map(text, values)) + "}"


def _answer(context: _Context) -> Answer:
    if not context.rows or context.columns is None:
        return Answer([], max(context.row_count, 0))
    names = [column["name"] for column in context.columns]
    return Answer(
        [dict(zip(names, row, strict=True)) for row in context.rows], max(context.row_count, 0)
    )


@lru_cache(maxsize=1024)
def _compiled(sql: str) -> tuple[str, Sequence[str]]:
    """``:name`` -> ``$n`` and the names in order (pg8000's own scanner, run once per text)."""
    from pg8000.native import to_statement

    names: dict[str, None] = {}

    class _Recorder(dict[str, Any]):
        def __missing__(self, name: str) -> None:
            names[name] = None

    text, make_vals = to_statement(sql)
    make_vals(_Recorder())
    return text, tuple(names)
