"""What must hold before anything starts; each fault is one line that says what to do."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["CannotStart", "check_port", "exclusive", "free_port", "read_port", "writable"]

HOST = "127.0.0.1"


class CannotStart(Exception):
    """The platform cannot start here; the message is one line for a person."""


def read_port(text: str) -> int:
    """A TCP port from what somebody typed. Raises CannotStart."""
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise CannotStart(f"PORT must be a number from 1 to 65535, not {text!r}.")


def check_port(port: int) -> None:
    """Raise CannotStart unless this process could listen on ``port``."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as fault:
            if fault.errno == errno.EADDRINUSE:
                raise CannotStart(
                    f"Port {port} is in use by another program: choose one with PORT=8081."
                ) from None
            raise CannotStart(f"Cannot listen on port {port}: {fault.strerror}.") from None


_offered: list[socket.socket] = []
"""Bound, so that the system gives their ports to nobody else as long as this process lives."""


def free_port() -> int:
    """A port nobody listens on; only who asks for this very one gets it, for SO_REUSEADDR."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind((HOST, 0))
    _offered.append(probe)
    port: int = probe.getsockname()[1]
    return port


def writable(directory: Path) -> None:
    """Make ``directory`` (mode 0700) if need be. Raises CannotStart when it cannot be written."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = directory / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as fault:
        raise CannotStart(
            f"The data directory {directory} cannot be written: {fault.strerror}."
        ) from None


@contextmanager
def exclusive(directory: Path, note: str) -> Iterator[None]:
    """Hold ``directory`` for this process alone; ``note`` tells others who has it.

    The lock ends with the process, however it ends. Raises CannotStart when another holds it.
    """
    with (directory / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise CannotStart(
                f"DentalHelp already runs on this data directory ({owner}): stop that one first."
            ) from None
        file.truncate(0)
        file.write(note)
        file.flush()
        yield
