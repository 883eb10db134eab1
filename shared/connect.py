"""Opening a connection: PostgreSQL by socket or host, or Cloud SQL through Google's connector."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from shared import log
from shared.errors import Unavailable
from shared.wire import ConnectionLost, SqlError, Wire

__all__ = ["Connections", "connect"]

_CONNECT_TIMEOUT_S = 5
# Longer than every transaction_timeout: the server ends a statement, this ends a dead peer.
_SOCKET_TIMEOUT_S = 75

_connectors: dict[int, Any] = {}
_connectors_lock = threading.Lock()


class Connections:
    """One connection to a database for each thread, opened when it is needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._local = threading.local()

    @property
    def fresh(self) -> bool:
        """Whether ``wire`` opens a new connection."""
        return getattr(self._local, "wire", None) is None or self._local.pid != os.getpid()

    def wire(self) -> Wire:
        """This thread's connection. Raises Unavailable."""
        if self.fresh:
            try:
                # A forked child must not share its parent's connection: keep the owner's pid.
                self._local.wire, self._local.pid = connect(self._url), os.getpid()
            except (ConnectionLost, SqlError) as error:
                log.warning("database_away", reason=str(error))
                raise Unavailable("The database is away.") from None
        wire: Wire = self._local.wire
        return wire

    def close(self) -> None:
        """Drop this thread's connection."""
        wire: Wire | None = getattr(self._local, "wire", None)
        self._local.wire = None
        if wire is not None and self._local.pid == os.getpid():
            wire.close()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Inside the block this thread has another connection, which is closed after it."""
        wire: Wire | None = getattr(self._local, "wire", None)
        self._local.wire = None
        try:
            yield
        finally:
            self.close()
            self._local.wire = wire


def connect(url: str) -> Wire:
    """Open a connection. Raises ConnectionLost, or SqlError when the server refuses it.

    ``postgresql://role:password@/db?host=/socket/dir`` (or ``@host:port/db``), or
    ``cloudsql://project:region:instance/db?user=name`` through the Cloud SQL connector with IAM.
    """
    from pg8000.exceptions import DatabaseError, InterfaceError

    scheme, _, rest = url.partition("://")
    try:
        core = _cloud_sql(rest) if scheme == "cloudsql" else _direct(url)
        core._usock.settimeout(_SOCKET_TIMEOUT_S)
    except (DatabaseError, InterfaceError, OSError, struct.error) as error:
        cause: BaseException | None = error
        while cause is not None:
            # A refusal may be hidden: pg8000 says goodbye to a server that has hung up already,
            # and then raises that failure instead.
            if isinstance(cause, DatabaseError):
                raise SqlError.of(cause) from None
            cause = cause.__context__
        raise ConnectionLost(type(error).__name__) from None
    return Wire(core)


def _direct(url: str) -> Any:
    from pg8000.native import Connection

    parts = urlsplit(url)
    query = parse_qs(parts.query)
    directory = query.get("host", [None])[0]
    port = parts.port or int(query.get("port", ["5432"])[0])
    return Connection(
        unquote(parts.username or ""),
        password=unquote(parts.password) if parts.password else None,
        database=parts.path.lstrip("/"),
        host=None if directory else parts.hostname,
        port=port,
        unix_sock=f"{directory}/.s.PGSQL.{port}" if directory else None,
        # A Unix socket has no TLS: do not spend a round trip on asking for it.
        ssl_context=False if directory else None,
        timeout=_CONNECT_TIMEOUT_S,
    )


def _cloud_sql(rest: str) -> Any:
    instance, _, tail = rest.partition("/")
    database, _, query = tail.partition("?")
    user = parse_qs(query)["user"][0]
    try:
        return _connector().connect(
            instance, "pg8000", user=user, db=database, timeout=_CONNECT_TIMEOUT_S
        )
    except Exception as error:
        if type(error).__module__.startswith("pg8000"):
            raise
        # The connector's own errors are many: HTTP, credentials, certificates, its event loop.
        raise ConnectionLost(type(error).__name__) from None


def _connector() -> Any:
    """This process's connector: its thread does not survive a fork."""
    with _connectors_lock:
        found = _connectors.get(os.getpid())
        if found is None:
            # Costs over a second to import: only functions that reach Cloud SQL pay it.
            from google.cloud.sql.connector import Connector

            found = Connector(ip_type="private", enable_iam_auth=True, refresh_strategy="lazy")
            _connectors[os.getpid()] = found
        return found
