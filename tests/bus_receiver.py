"""A subscriber for tests: records every push and answers as it is told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from infra.local.preflight import free_port
from shared.bus import Push, parse_push

__all__ = ["HttpReceiver", "Received", "Receiver", "Text"]


@dataclass(frozen=True)
class Text:
    """The smallest publishable message."""

    text: str
    ordering_key: str | None = None
    kind: str | None = None

    def to_json(self) -> str:
        """The text itself."""
        return self.text

    def attributes(self) -> dict[str, str]:
        """``event_type``, if there is a kind."""
        return {"event_type": self.kind} if self.kind else {}


@dataclass(frozen=True)
class Received:
    """One push, how it was answered, and when (monotonic seconds) it came."""

    push: Push
    body: bytes
    authorization: str | None
    at: float
    status: int

    @property
    def text(self) -> str:
        """What was published."""
        return self.push.data.decode()


class Receiver:
    """Answers pushes with ``answer``; safe to share between threads."""

    def __init__(self, answer: Callable[[Push], int] = lambda push: 204) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self.connections: list[socket.socket] = []
        self._lock = threading.Lock()

    def take(self, body: bytes, authorization: str | None = None) -> int:
        """Handle one push; the status to answer with."""
        at, push = time.monotonic(), parse_push(body)
        status = self.answer(push)
        with self._lock:
            self.received.append(Received(push, body, authorization, at, status))
        return status

    def texts(self) -> list[str]:
        """The texts of all pushes, in the order of their arrival."""
        return [received.text for received in self.received]

    def handled(self) -> list[str]:
        """The texts of the pushes that were acknowledged."""
        return [received.text for received in self.received if received.status == 204]

    def fail(self, text: str, times: int = 10**9, status: int = 500) -> None:
        """Refuse the first ``times`` deliveries of ``text`` with ``status``."""
        before, left = self.answer, [times]

        def answer(push: Push) -> int:
            if push.data.decode() != text or left[0] == 0:
                return before(push)
            left[0] -= 1
            return status

        self.answer = answer


class HttpReceiver(Receiver):
    """A receiver that listens at ``url`` until ``close``; its port stays its own."""

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        self._server = ThreadingHTTPServer(("127.0.0.1", port or free_port()), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop listening and break off all connections, as a process does that ends."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            receiver.connections.append(self.connection)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.take(body, self.headers["Authorization"])
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
