"""A load generator that costs little beside what it measures: raw sockets, one thread, kept alive.

Requests are bytes made beforehand, and of an answer only what proves it right is looked at.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from infra.local.preflight import HOST

__all__ = ["Exchange", "Load", "drive", "request"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What to send, and what a right answer holds."""

    sent: bytes
    status: bytes
    """Such as b"200"."""
    holds: bytes
    """Somewhere in the body (b"" for any)."""


@dataclass
class Load:
    """What became of the requests."""

    right: int = 0
    wrong: int = 0
    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    """Seconds from each request to its answer."""

    @property
    def per_second(self) -> float:
        """Right answers per second."""
        return self.right / self.seconds


def request(
    method: str,
    path: str,
    *,
    token: str | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a request that keeps its connection."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class _Connection:
    __slots__ = ("answer", "began", "exchange", "sock")

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection((HOST, port), timeout=30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer = b""
        self.began = 0.0
        self.exchange: Exchange | None = None

    def send(self, exchange: Exchange) -> None:
        self.exchange, self.answer = exchange, b""
        self.began = time.perf_counter()
        self.sock.sendall(exchange.sent)

    def receive(self) -> bool:
        """Read what is there; is the answer complete? Raises ConnectionError at its end."""
        part = self.sock.recv(65536)
        if not part:
            raise ConnectionError("the server closed the connection")
        self.answer = self.answer + part if self.answer else part
        head, end, body = self.answer.partition(b"\r\n\r\n")
        if not end:
            return False
        _, found, rest = head.lower().partition(b"content-length: ")
        return not found or len(body) >= int(rest.partition(b"\r")[0])

    def right(self, exchange: Exchange) -> bool:
        head, _, body = self.answer.partition(b"\r\n\r\n")
        return head[9:12] == exchange.status and exchange.holds in body


def drive(
    port: int, exchanges: Iterator[Exchange], *, connections: int = 16, seconds: float = 3600.0
) -> Load:
    """Send ``exchanges``, one at a time on each connection, until they or the time run out."""
    load = Load()
    poll = select.poll()
    by_fd: dict[int, _Connection] = {}
    began = time.perf_counter()
    until = began + seconds
    try:
        for _, exchange in zip(range(connections), exchanges, strict=False):
            connection = _Connection(port)
            by_fd[connection.sock.fileno()] = connection
            poll.register(connection.sock, select.POLLIN)
            connection.send(exchange)
        busy = len(by_fd)
        while busy:
            ready = poll.poll(30_000)
            if not ready:
                raise TimeoutError("no answer within 30 s")
            for fd, _event in ready:
                connection = by_fd[fd]
                if not connection.receive() or connection.exchange is None:
                    continue
                now = time.perf_counter()
                load.times.append(now - connection.began)
                if connection.right(connection.exchange):
                    load.right += 1
                else:
                    load.wrong += 1
                following = next(exchanges, None) if now < until else None
                if following is None:
                    connection.exchange = None
                    busy -= 1
                else:
                    connection.send(following)
    finally:
        for connection in by_fd.values():
            connection.sock.close()
    load.seconds = time.perf_counter() - began
    return load
