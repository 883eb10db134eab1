"""The embedded stack's second process: what delivers messages, the scheduler, the mail sink.

``python -m infra.local.background PARENT URL RUN_DIR [--emulators]``: dies with process PARENT,
pushes to the platform at URL. With ``--emulators`` Google's emulators run in place of our
dispatcher, on the addresses in PUBSUB_EMULATOR_HOST and FIRESTORE_EMULATOR_HOST.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from infra import manifest
from infra.local import bus_process, lifeline
from infra.local.bus_process import BusSettings, Companion, Wiring
from infra.local.emulator import EmulatorMissing, FirestoreEmulator, PubSubEmulator
from infra.local.mail_sink import MailSink
from infra.local.scheduler import Scheduler, schedules
from shared import log

__all__ = ["main"]


class _Ready:
    """Tells by a file that messages are delivered and jobs run."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def start(self) -> None:
        self._file.touch()

    def stop(self) -> None:
        self._file.unlink(missing_ok=True)


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    parent, url, run_dir = int(arguments[0]), arguments[1], Path(arguments[2])
    lifeline.follow(parent)
    services = manifest.load()
    settings = BusSettings.read(os.environ)
    companions: list[Companion] = [
        MailSink(int(os.environ["SMTP_PORT"]), Path(os.environ["MAIL_DIR"])),
        Scheduler(schedules(services), url, settings.signer),
        _Ready(run_dir / "background.ready"),
    ]
    wiring = Wiring(tuple(manifest.topics(services)), tuple(manifest.subscriptions(services, url)))
    if "--emulators" in arguments:
        return _emulate(wiring, settings, companions)
    file = run_dir / "wiring.json"
    file.write_text(json.dumps(asdict(wiring), indent=2), encoding="utf-8")
    return bus_process.run(file, companions)


def _emulate(wiring: Wiring, settings: BusSettings, companions: Sequence[Companion]) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    logs = Path(os.environ["EMULATOR_LOGS"])
    pubsub, firestore = PubSubEmulator(logs, settings.signer), FirestoreEmulator(logs)
    with ExitStack() as running:
        running.callback(pubsub.stop)
        running.callback(firestore.stop)
        try:
            pubsub.launch(_port("PUBSUB_EMULATOR_HOST"))
            firestore.launch(_port("FIRESTORE_EMULATOR_HOST"))
            pubsub.ready()
            pubsub.configure(wiring.subscriptions, wiring.topics)
            firestore.ready()
        except (EmulatorMissing, OSError, ValueError) as fault:
            log.error("emulators_cannot_start", reason=str(fault))
            return 1
        for companion in companions:
            companion.start()
            running.callback(companion.stop)
        while True:
            signal.pause()


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _port(name: str) -> int:
    return int(os.environ[name].rpartition(":")[2])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
