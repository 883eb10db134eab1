"""Waking the dispatcher: from publishers through a named socket, from its own threads directly."""

from __future__ import annotations

import fcntl
import os
import select
import socket
from contextlib import suppress
from pathlib import Path

__all__ = ["AlreadyRunning", "Bell"]


class AlreadyRunning(Exception):
    """Another dispatcher holds the socket: two would break the order of messages."""


class Bell:
    """Rings when somebody sends a datagram to ``path``, or calls ``ring``."""

    def __init__(self, path: Path | None) -> None:
        """Take ``path`` for this process until ``close``. Raises AlreadyRunning, and OSError when
        the path is longer than the system allows (some 100 bytes)."""
        self._path = path
        self._lock = _locked(path) if path else None
        self._inner, self._outer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sockets = [self._inner]
        self._outer.setblocking(False)
        if path:
            path.unlink(missing_ok=True)
            named = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            named.bind(str(path))
            path.chmod(0o600)
            self._sockets.append(named)
        for listening in self._sockets:
            listening.setblocking(False)

    def ring(self) -> None:
        """Wake whoever waits."""
        # A full buffer means that there is enough ringing already.
        with suppress(OSError):
            self._outer.send(b"!")

    def wait(self, timeout: float) -> None:
        """Return when the bell has rung, at latest after ``timeout`` seconds."""
        for rung in select.select(self._sockets, [], [], timeout)[0]:
            with suppress(BlockingIOError):
                while rung.recv(16):
                    pass

    def close(self) -> None:
        """Give the path back."""
        for each in (*self._sockets, self._outer):
            each.close()
        if self._path:
            self._path.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)


def _locked(path: Path) -> int:
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise AlreadyRunning(f"another dispatcher listens on {path}") from None
    return descriptor
