"""Servers that are slow, broken or hostile, as a script says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Handler", "Server", "raw", "resets", "says", "sleeps", "trickles"]


class Server(ThreadingHTTPServer):
    """Answers with the next of ``script``, the last one for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        self.script: list[Callable[[Handler], None]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.finished = 0
        self.over = threading.Event()
        """Set when nobody asks any more: what is slow need not go on."""
        super().__init__(("127.0.0.1", 0), Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """A new connection."""
        self.connections += 1
        return super().get_request()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """What the script says."""
        script = self.server.script
        self.server.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        (script.pop(0) if len(script) > 1 else script[0])(self)

    def log_message(self, *_: object) -> None:
        """Nothing to read here."""


def says(status: int, body: bytes = b"{}", **headers: str) -> Callable[[Handler], None]:
    """Answer with this."""

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def raw(data: bytes) -> Callable[[Handler], None]:
    """Send bytes that need not be HTTP, and hang up."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return answer


def resets(handler: Handler) -> None:
    """Break the connection off."""
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.close_connection = True


def sleeps(handler: Handler) -> None:
    """Answer when it is too late."""
    if not handler.server.over.wait(30):
        handler.server.finished += 1


def trickles(handler: Handler) -> None:
    """Answer byte by byte, for as long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "600")
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b" ")
        if handler.server.over.wait(0.05):
            return
    handler.server.finished += 1
