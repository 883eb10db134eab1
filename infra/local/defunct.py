"""Clears away a PostgreSQL that was ended with -9 and that nobody has buried.

In a container whose first process does not reap orphans, a dead postmaster stays in the process
table for ever. PostgreSQL takes its lock files for a running server's and refuses to start. It
also refuses while backends of a dead postmaster have not yet noticed that they should go.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import psutil

__all__ = ["clear", "kill"]

_PATIENCE = 60.0  # seconds for the last backends to notice that their postmaster is gone


def clear(data_dir: Path) -> None:
    """Make ``data_dir`` fit to start in, unless a server runs there."""
    pid = _postmaster(data_dir)
    if pid is None or _runs(pid):
        return
    deadline = time.monotonic() + _PATIENCE
    while _somebody_in(data_dir):
        if time.monotonic() > deadline:
            # Its lock files stay: PostgreSQL itself will say what is wrong.
            return
        time.sleep(0.02)
    for file in (data_dir / "postmaster.pid", *data_dir.glob(".s.PGSQL.*.lock")):
        file.unlink(missing_ok=True)


def kill(data_dir: Path) -> None:
    """End the server in ``data_dir`` with -9; nothing of it is left when this returns."""
    pid = _postmaster(data_dir)
    if pid is None:
        return
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        # A number in an old file may be somebody else's by now.
        if process.name() == "postgres":
            process.kill()
    deadline = time.monotonic() + _PATIENCE
    while (_runs(pid) or _somebody_in(data_dir)) and time.monotonic() < deadline:
        time.sleep(0.02)


def _postmaster(data_dir: Path) -> int | None:
    try:
        text = (data_dir / "postmaster.pid").read_text(encoding="utf-8")
        return int(text.partition("\n")[0])
    except (OSError, ValueError):
        return None


def _runs(pid: int) -> bool:
    try:
        alive: bool = psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    return alive


def _somebody_in(data_dir: Path) -> bool:
    place = str(data_dir.resolve())
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == place:
                return True
    return False
