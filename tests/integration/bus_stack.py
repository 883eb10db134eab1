"""A topic, a subscriber and a dispatcher that tests start, stop and kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from infra.local.dispatcher import Dispatcher
from shared.bus import Subscription
from shared.bus_embedded import EmbeddedBus
from shared.db import Database
from shared.tokens import SigningKey
from tests.bus_receiver import HttpReceiver, Text

__all__ = ["Process", "Stack", "until"]

ROOT = Path(__file__).resolve().parents[2]


def until(condition: Callable[[], bool], patience: float = 60.0) -> None:
    """Wait for ``condition``; AssertionError when it does not come true."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"it did not come true within {patience} s"
        time.sleep(0.005)


class Stack:
    """A topic with one subscriber and a dispatcher that a test starts and stops."""

    def __init__(self, url: str, socket: Path) -> None:
        self.url, self.socket = url, socket
        self.topic = f"topic-{uuid4().hex[:8]}"
        self.receiver = HttpReceiver()
        self.database = Database(url)
        self.bus = EmbeddedBus(url, poke_socket=str(socket))
        self.dispatcher: Dispatcher | None = None

    def subscription(self, **settings: object) -> Subscription:
        """The subscriber's subscription, with dead letters pushed to it as well."""
        fields = {
            "name": f"consumer.{self.topic}",
            "topic": self.topic,
            "service": "consumer",
            "endpoint": self.receiver.url,
            "dead_letter_topic": f"dead-{self.topic}",
            "min_backoff": 0.05,
        }
        return Subscription(**{**fields, **settings})  # type: ignore[arg-type]

    def wired(self, **settings: object) -> list[Subscription]:
        """The subscription and the one of its dead letters."""
        dead = f"dead-{self.topic}"
        return [
            self.subscription(**settings),
            self.subscription(name=dead, topic=dead, dead_letter_topic=None),
        ]

    def start(self, *, poke: bool = True, **settings: object) -> None:
        """Start a dispatcher."""
        self.dispatcher = Dispatcher(
            self.url,
            self.wired(**settings),
            lambda service: "token",
            poke_socket=self.socket if poke else None,
        )
        self.dispatcher.start()

    def stop(self) -> None:
        """Stop the dispatcher, if it runs."""
        if self.dispatcher:
            self.dispatcher.stop()
            self.dispatcher = None

    def publish(self, *texts: str, key: str | None = "key") -> None:
        """Publish ``texts`` under one key."""
        self.bus.publish(self.topic, [Text(text, key) for text in texts])

    def left(self) -> int:
        """How many deliveries are not acknowledged."""
        return self._deliveries("count(*)")

    def counted(self) -> int:
        """The most failed attempts that any delivery has on record."""
        return self._deliveries("coalesce(max(attempts), 0)")

    def _deliveries(self, what: str) -> int:
        row = self.database.one(
            f"select {what} as n from delivery d join subscription s on s.id = d.subscription"
            " where s.name like :name",
            name=f"%{self.topic}",
        )
        assert row is not None
        return int(row["n"])


class Process:
    """The dispatcher as a process of its own."""

    def __init__(self, stack: Stack, directory: Path, **environ: str) -> None:
        self._log = directory / "log"
        wiring = directory / "wiring.json"
        subscriptions = [vars(s) for s in stack.wired()]
        wiring.write_text(json.dumps({"topics": ["other"], "subscriptions": subscriptions}))
        pem = directory / "push.pem"
        pem.write_text(SigningKey.generate().pem)
        settings = {
            "BUS_URL": stack.url,
            "PUSH_SIGNING_KEY": str(pem),
            "PUSH_ISSUER": "dentalhelp-bus",
            "PUSH_EMAIL": "bus@dentalhelp.local",
            "BUS_POKE_SOCKET": str(stack.socket),
        }
        inherited = {k: v for k, v in os.environ.items() if k not in settings}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "infra.local.dispatcher", str(wiring)],
                env={**inherited, **settings, **environ},
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self) -> None:
        """Wait until it has started."""
        until(lambda: "dispatcher_started" in self.log())

    def log(self) -> str:
        """Everything it said."""
        return self._log.read_text()

    def end(self, sig: signal.Signals = signal.SIGKILL) -> int:
        """Send ``sig`` and return the exit code."""
        self._process.send_signal(sig)
        return self._process.wait(60)

    def wait(self) -> int:
        """The exit code, once it ended by itself."""
        return self._process.wait(60)
