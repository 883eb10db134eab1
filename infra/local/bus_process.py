"""The bus's own process: settings from the environment, wiring from a file, until a signal."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from infra.local.bell import AlreadyRunning
from infra.local.dispatcher import Dispatcher
from infra.local.push import Signer, push_signer
from shared import log
from shared.bus import Subscription
from shared.config import MissingSettings
from shared.errors import Unavailable
from shared.identity import SigningKey

__all__ = ["BusSettings", "Companion", "Wiring", "run"]

_RETRY = 0.5  # seconds between two attempts to start while the bus database is away


class Companion(Protocol):
    """Something else that lives in this process, such as the scheduler."""

    def start(self) -> None:
        """Begin, without blocking."""
        ...

    def stop(self) -> None:
        """End, within seconds."""
        ...


@dataclass(frozen=True)
class Wiring:
    """Which topics exist and who hears of what."""

    topics: tuple[str, ...]
    subscriptions: tuple[Subscription, ...]

    @classmethod
    def read(cls, path: Path) -> Wiring:
        """From JSON: ``{"topics": [name...], "subscriptions": [{Subscription's fields}...]}``.

        Raises OSError, ValueError and TypeError.
        """
        read = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            tuple(read.get("topics", ())),
            tuple(Subscription(**fields) for fields in read["subscriptions"]),
        )


@dataclass(frozen=True)
class BusSettings:
    """What the bus process is told by its environment."""

    bus_url: str
    signer: Signer
    poke_socket: Path | None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> BusSettings:
        """Raises MissingSettings naming everything that is missing, OSError, ValueError."""
        names = ("BUS_URL", "PUSH_SIGNING_KEY", "PUSH_ISSUER", "PUSH_EMAIL")
        if missing := [f"missing: {name}" for name in names if not environ.get(name)]:
            raise MissingSettings("; ".join(missing))
        key = SigningKey.from_pem(Path(environ["PUSH_SIGNING_KEY"]).read_text(encoding="utf-8"))
        socket = environ.get("BUS_POKE_SOCKET")
        return cls(
            environ["BUS_URL"],
            push_signer(key, issuer=environ["PUSH_ISSUER"], email=environ["PUSH_EMAIL"]),
            Path(socket) if socket else None,
        )


def run(wiring: Path, companions: Sequence[Companion] = ()) -> int:
    """Dispatch by the file ``wiring``, with ``companions``, until SIGTERM or SIGINT.

    Returns the exit code: 0, or 1 with a line in the log when it cannot start.
    """
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        settings = BusSettings.read(os.environ)
        wired = Wiring.read(wiring)
        dispatcher = Dispatcher(
            settings.bus_url,
            wired.subscriptions,
            settings.signer,
            topics=wired.topics,
            poke_socket=settings.poke_socket,
        )
        _start(dispatcher, ended)
    except (AlreadyRunning, MissingSettings, OSError, ValueError, TypeError, KeyError) as fault:
        log.error("dispatcher_cannot_start", reason=str(fault))
        return 1
    for companion in companions:
        companion.start()
    ended.wait()
    for companion in reversed(companions):
        companion.stop()
    dispatcher.stop()
    return 0


def _start(dispatcher: Dispatcher, ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            dispatcher.start()
        except Unavailable:
            log.warning("bus_database_away", reason="at start")
            ended.wait(_RETRY)
        else:
            return
