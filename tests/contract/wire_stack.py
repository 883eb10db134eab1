"""Wires over both kinds of pg8000 connection, for the contract tests."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pg8000.core
import pg8000.dbapi
import pg8000.native

from shared.wire import Statement, Wire

__all__ = ["SECRET", "ask", "dbapi"]

SECRET = "ana.pop@example.com"


def dbapi(url: str) -> Wire:
    """What the Cloud SQL connector hands out: a dbapi connection."""
    parts = urlsplit(url)
    directory = parse_qs(parts.query)["host"][0]
    connection = pg8000.dbapi.connect(
        unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path.lstrip("/"),
        unix_sock=f"{directory}/.s.PGSQL.5432",
        timeout=20,
    )
    return Wire(connection)


def ask(wire: Wire, sql: str, **params: Any) -> Any:
    """The first column of the first row."""
    rows = wire.exchange(Statement(sql, params))[0].rows
    return next(iter(rows[0].values()))
