"""The gateway's way to a target that runs in a process of its own, over a Unix socket."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infra.local.router import problem_response
from shared.errors import Unavailable

__all__ = ["Proxy"]

_TIMEOUT = 75.0  # seconds; longer than the longest job
# The services refuse more than 1 MiB: one byte above is enough to be refused.
_LARGEST_BODY = (1 << 20) + 1
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server"})


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(str(self._path))


class Proxy:
    """A WSGI application that passes requests on; 503 while nobody listens.

    Every request has a connection of its own: an idle one that a dead process left behind would
    make it unclear whether a request took effect.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """WSGI."""
        target = quote(environ["PATH_INFO"].encode("latin-1"), safe="/%:@!$&'()*+,;=~-._")
        if environ.get("QUERY_STRING"):
            target += "?" + environ["QUERY_STRING"]
        connection = _Connection(self._path)
        try:
            connection.connect()
            # The target may refuse and hang up before it has read everything.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(
                    environ["REQUEST_METHOD"], target, _body(environ), _headers(environ)
                )
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return problem_response(Unavailable("This service is away."), start_response)
        finally:
            connection.close()
        headers = [(k, v) for k, v in response.getheaders() if k.lower() not in _HOP_BY_HOP]
        start_response(f"{response.status} {response.reason}", headers)
        return [body]


def _body(environ: dict[str, Any]) -> bytes | None:
    if not environ.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" not in environ:
        return None
    body: bytes = environ["wsgi.input"].read(_LARGEST_BODY)
    return body


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    headers = {
        key[5:].replace("_", "-").title(): value
        for key, value in environ.items()
        if key.startswith("HTTP_") and key != "HTTP_TRANSFER_ENCODING"
    }
    if environ.get("CONTENT_TYPE"):
        headers["Content-Type"] = environ["CONTENT_TYPE"]
    headers["Connection"] = "close"
    return headers
