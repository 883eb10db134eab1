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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["ConnectionLost", "Row", "SqlError", "Statement", "Wire", "connect"]

Row = dict[str, Any]

_length = struct.Struct("!i").pack
_count = struct.Struct("!H").pack
_DESCRIBE_PORTAL = b"D" + _length(6) + b"P\0"
_EXECUTE = b"E" + _length(9) + b"\0" + _length(0)
_SYNC = b"S" + _length(4)
_CONNECT_TIMEOUT_S = 5
# Longer than every transaction_timeout: the server ends a statement, this ends a dead peer.
_SOCKET_TIMEOUT_S = 75


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

    def exchange(self, *statements: Statement) -> list[Answer]:
        """Send all ``statements`` in one flush and read every answer.

        Each runs whatever became of the ones before it, as far as the server's transaction
        state lets it. Raises the first SqlError after reading all answers, or ConnectionLost.
        """
        from pg8000.exceptions import DatabaseError, InterfaceError

        core = self._core
        out = bytearray()
        for statement in statements:
            self._append(out, statement)
        try:
            core._sock.write(bytes(out))
            core._sock.flush()
        except (OSError, ValueError, AttributeError):
            raise ConnectionLost from None
        answers: list[Answer] = []
        first: SqlError | None = None
        for statement in statements:
            context = _Context(statement.sql)
            try:
                core.handle_messages(context)
            except DatabaseError as error:
                fields = error.args[0] if error.args else {}
                first = first or SqlError(fields if isinstance(fields, dict) else {})
            except (InterfaceError, OSError, ValueError, struct.error, AttributeError) as error:
                if first is not None:
                    raise first from None  # a FATAL error closes the connection behind it
                if "failed transaction block" in str(error):
                    first = SqlError({"C": "25P02"})
                    continue
                raise ConnectionLost from None
            answers.append(_answer(context))
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

    def _append(self, out: bytearray, statement: Statement) -> None:
        core = self._core
        sql, names = _compiled(statement.sql)
        if not names:
            body = sql.encode() + b"\0"
            out += b"Q" + _length(len(body) + 4) + body
            return
        from pg8000.converters import make_params

        values = make_params(core.py_types, [statement.params[name] for name in names])
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
        out += b"P" + _length(len(parse) + 4) + parse
        out += b"B" + _length(len(bind) + 4) + bind
        out += _DESCRIBE_PORTAL + _EXECUTE + _SYNC


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


_connector: Any = None


def connect(url: str) -> Wire:
    """Open a connection. Raises ConnectionLost, or SqlError when the server refuses it.

    ``postgresql://role:password@/db?host=/socket/dir`` (or ``@host:port/db``), or
    ``cloudsql://project:region:instance/db?user=name`` through the Cloud SQL connector with IAM.
    """
    from pg8000.exceptions import DatabaseError, InterfaceError

    scheme, _, rest = url.partition("://")
    try:
        if scheme == "cloudsql":
            return Wire(_cloud_sql(rest))
        return Wire(_direct(url))
    except DatabaseError as error:
        fields = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        raise SqlError(fields) from None
    except (InterfaceError, OSError, struct.error) as error:
        raise ConnectionLost(type(error).__name__) from None


def _direct(url: str) -> Any:
    from pg8000.native import Connection

    parts = urlsplit(url)
    query = parse_qs(parts.query)
    directory = query.get("host", [None])[0]
    port = parts.port or int(query.get("port", ["5432"])[0])
    connection = Connection(
        unquote(parts.username or ""),
        password=unquote(parts.password) if parts.password else None,
        database=parts.path.lstrip("/"),
        host=None if directory else parts.hostname,
        port=port,
        unix_sock=f"{directory}/.s.PGSQL.{port}" if directory else None,
        timeout=_CONNECT_TIMEOUT_S,
    )
    connection._usock.settimeout(_SOCKET_TIMEOUT_S)
    return connection


def _cloud_sql(rest: str) -> Any:
    global _connector
    if _connector is None:
        # Costs over a second to import: only functions that reach Cloud SQL pay it.
        from google.cloud.sql.connector import Connector

        _connector = Connector(ip_type="private", enable_iam_auth=True, refresh_strategy="lazy")
    instance, _, tail = rest.partition("/")
    database, _, query = tail.partition("?")
    user = parse_qs(query)["user"][0]
    return _connector.connect(instance, "pg8000", user=user, db=database)
