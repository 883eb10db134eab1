"""Named places between two effects, where a test can let the process fail.

``FAULT_POINTS`` names a directory, on one machine only: shared/config.py refuses it in the cloud.
A file there with a point's name says what happens to the next process that passes the point:

``kill``
    It is killed (SIGKILL), as when an instance vanishes.
``stop``
    It is stopped (SIGSTOP) until somebody continues it: it wakes up long after its leases.
``error``
    ``Injected`` is raised there.
``cut``
    ``db.committing`` only: the connection breaks before the answer to COMMIT is read.

``kill 3`` waits for a process's third passage since the file is there. Who performs it renames the
file to ``<point>.hit.<pid>`` first, so each happens once. Without the setting a point costs the
look at one cached value.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from shared.config import MissingSettings, config

__all__ = ["POINTS", "Injected", "armed", "installed", "point"]

POINTS = {
    "db.committing": "COMMIT was sent, and its answer is not read yet",
    "outbox.committed": "a change is committed, and its messages are not published yet",
    "outbox.published": "the broker has the messages, and the outbox still holds them",
    "inbox.handled": "a message took effect, and the transaction is still open",
    "inbox.committed": "a message's effect is committed, and the broker is not told so yet",
    "saga.continued": "a saga's next step is written, and the transaction is still open",
    "erasure.requested": "an erasure is written down in auth, and not in the ledger yet",
    "erasure.recorded": "the ledger holds an erasure, and nothing is destroyed yet",
    "projection.applied": "events are in a read model, and the transaction is still open",
    "projection.flipped": "a rebuilt read model takes over, and the transaction is still open",
    "xray.copied": "an image lies in its place, and its row does not say so yet",
    "xray.stored": "an image is in the record, and nobody was told so yet",
    "mail.accepted": "the provider has a mail, and it is not marked as sent yet",
}

_lock = threading.Lock()
_passed: dict[str, int] = {}
_installed: list[Path] = []


class Injected(Exception):
    """A fault point was told to fail."""


def point(name: str, *, cut: Callable[[], None] | None = None) -> None:
    """Pass the point ``name`` of POINTS. ``cut`` breaks the connection at hand.

    Raises Injected when told to, KeyError for a name that is not registered, and ValueError for
    an action that makes no sense here.
    """
    if (directory := _directory()) is not None:
        _pass(directory, name, cut)


def armed() -> bool:
    """Whether this process looks for faults at all."""
    return _directory() is not None


@contextmanager
def installed(directory: Path) -> Iterator[None]:
    """Look for faults in ``directory`` meanwhile, whatever the setting says (tests)."""
    _installed.append(directory)
    _directory.cache_clear()
    try:
        yield
    finally:
        _installed.pop()
        _directory.cache_clear()


@cache
def _directory() -> Path | None:
    if _installed:
        return _installed[-1]
    try:
        setting = config().fault_points
    except MissingSettings:
        # A tool that uses the kit without being a service.
        return None
    return Path(setting) if setting else None


def _pass(directory: Path, name: str, cut: Callable[[], None] | None) -> None:
    POINTS[name]  # a misspelt name must not pass for one that nobody armed
    path = directory / name
    with _lock:
        try:
            action, _, passage = path.read_text("ascii").strip().partition(" ")
        except FileNotFoundError:
            _passed.pop(name, None)
            return
        _passed[name] = _passed.get(name, 0) + 1
        if _passed[name] < int(passage or 1):
            return
        del _passed[name]
        try:
            path.rename(f"{path}.hit.{os.getpid()}")
        except FileNotFoundError:
            return
    _perform(name, action, cut)


def _perform(name: str, action: str, cut: Callable[[], None] | None) -> None:
    import signal

    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        # To this thread: with a signal to the process it would go on until another one is stopped.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    elif action == "error":
        raise Injected(name)
    elif action == "cut" and cut is not None:
        cut()
    else:
        raise ValueError(f"{name} cannot {action}")
