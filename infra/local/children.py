"""The child processes of a running platform: started, watched, restarted with back-off, stopped.

Each child writes straight into its own log file, runs in its own session (Ctrl-C reaches the
parent only, which then stops everything in order) and dies with the parent (see ``lifeline``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Children"]

_ROOT = Path(__file__).resolve().parents[2]
_WATCH_EVERY = 0.1  # seconds
_CALM_AFTER = 30.0  # seconds a child must live for its next death to count as the first
_LONGEST_PAUSE = 10.0  # seconds between two attempts to start
_LARGEST_LOG = 20_000_000  # bytes, then the log of the last run is put aside at a start


@dataclass
class _Child:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = False
    deaths: int = 0
    started: float = 0.0  # monotonic seconds
    restart_at: float | None = None  # monotonic seconds; None: alive, or down on purpose


class Children:
    """Named child processes. All methods may be called from any thread."""

    def __init__(self, logs: Path, *, say: Callable[[str], None], first_pause: float = 0.2) -> None:
        """``say`` hears of deaths and restarts; ``first_pause`` (s) precedes a first restart."""
        self._logs = logs
        self._say = say
        self._first_pause = first_pause
        self._children: dict[str, _Child] = {}
        self._lock = threading.RLock()
        # Linux ends a child with the thread that started it, so one thread starts them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="starter")
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._watcher.start()

    @property
    def names(self) -> list[str]:
        """The names of all children, in the order they were added."""
        return list(self._children)

    def add(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Make the child known and start it."""
        with self._lock:
            log = self.log(name)
            log.parent.mkdir(parents=True, exist_ok=True)
            if log.exists() and log.stat().st_size > _LARGEST_LOG:
                log.replace(log.with_suffix(".log.1"))
            self._children[name] = _Child(name, command, environment, log)
        self.start(name)

    def log(self, name: str) -> Path:
        """The file with everything that child has written."""
        return self._logs / f"{name}.log"

    def start(self, name: str) -> None:
        """Start a child that is down; nothing happens to one that runs. Raises KeyError."""
        with self._lock:
            child = self._children[name]
            child.wanted, child.deaths = True, 0
            if child.process is None or child.process.poll() is not None:
                self._launch(child)

    def signal(self, name: str, sig: signal.Signals) -> None:
        """Send ``sig`` to the child and its own children: SIGSTOP and SIGCONT make a zombie."""
        with self._lock:
            process = self._children[name].process
            if process is not None and process.poll() is None:
                os.killpg(process.pid, sig)

    def kill(self, name: str) -> None:
        """End the child with -9; it stays down until ``start``."""
        with self._lock:
            child = self._children[name]
            child.wanted, child.restart_at = False, None
            self.signal(name, signal.SIGKILL)
            if child.process is not None:
                child.process.wait()

    def alive(self, name: str) -> bool:
        """Whether the child runs."""
        process = self._children[name].process
        return process is not None and process.poll() is None

    def stop(self, names: Iterable[str], timeout: float) -> None:
        """Ask these children to end, wait up to ``timeout`` seconds for all, then insist."""
        with self._lock:
            stopping = [self._children[name] for name in names if name in self._children]
            for child in stopping:
                child.wanted, child.restart_at = False, None
                if child.process is not None and child.process.poll() is None:
                    child.process.terminate()
        deadline = time.monotonic() + timeout
        for child in stopping:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._say(f"{child.name} did not stop within {timeout:.0f} s and was ended.")
            with suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
            # Its number may soon be another process's.
            child.process = None

    def close(self) -> None:
        """End whatever still runs, at once."""
        self._ended.set()
        self._watcher.join()
        self.stop(self.names, timeout=0)
        self._starter.shutdown()

    def _launch(self, child: _Child) -> None:
        child.restart_at = None
        child.process = self._starter.submit(_spawn, child).result()
        child.started = time.monotonic()

    def _watch(self) -> None:
        while not self._ended.wait(_WATCH_EVERY):
            with self._lock:
                for child in self._children.values():
                    if child.wanted:
                        self._tend(child)

    def _tend(self, child: _Child) -> None:
        now = time.monotonic()
        if child.restart_at is not None:
            if now >= child.restart_at:
                self._launch(child)
            return
        if child.process is None or child.process.poll() is None:
            return
        if now - child.started > _CALM_AFTER:
            child.deaths = 0
        pause = min(_LONGEST_PAUSE, self._first_pause * 2**child.deaths)
        pause = max(pause, self._first_pause)
        child.deaths += 1
        child.restart_at = now + pause
        # What it left behind (workers of a dead master) must not hold the port.
        with suppress(ProcessLookupError):
            os.killpg(child.process.pid, signal.SIGKILL)
        how = _how(child.process.returncode)
        self._say(f"{child.name} {how}; again in {pause:.1f} s (see {child.log}).")


def _spawn(child: _Child) -> subprocess.Popen[bytes]:
    with child.log.open("ab") as log:
        return subprocess.Popen(
            child.command,
            env=dict(child.environment),
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _how(code: int) -> str:
    if code < 0:
        return f"was killed ({signal.Signals(-code).name})"
    return f"ended with code {code}"
