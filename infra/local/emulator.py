"""Google's own Pub/Sub and Firestore emulators, found through gcloud, run with Java 17 or newer.

Measured limits of the Pub/Sub emulator (0.8.20): filters, dead-letter policies and back-off are
accepted and ignored (a failed push is repeated each second), pushes tell neither the ordering key
nor the attempt and are not signed, and everything is lost when it stops.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from infra.local.emulator_bridge import Bridge
from infra.local.preflight import free_port
from infra.local.push import Signer
from shared.bus import PROJECT, Subscription

__all__ = ["Emulator", "EmulatorMissing", "FirestoreEmulator", "PubSubEmulator"]

_ROOT = Path(__file__).resolve().parents[2]
# Java knows nothing of us: this ties its process to ours, then becomes it.
_LEASH = """
import os, sys
from infra.local.lifeline import follow
follow(int(sys.argv[1]))
os.execv(sys.argv[2], sys.argv[2:])
"""
_HOST = "127.0.0.1"
_START = 60.0  # seconds
_OLDEST_JAVA = 17
_FIRESTORE_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"


class EmulatorMissing(Exception):
    """gcloud, the emulator or a fitting Java is not on this machine; the message says which."""


class Emulator(ABC):
    """A Java process that listens on ``address`` between ``start`` and ``stop``."""

    def __init__(self, logs: Path) -> None:
        """``logs``: the directory for the emulator's output."""
        self._logs = logs
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""
        """host:port, as the environment variables of Google's clients want it."""

    @abstractmethod
    def command(self, port: int) -> list[str]:
        """What to run. Raises EmulatorMissing."""

    def launch(self, port: int | None = None) -> None:
        """Begin starting; ``ready`` waits for the end of it. Raises EmulatorMissing."""
        port = port or free_port()
        command = self.command(port)
        self._logs.mkdir(parents=True, exist_ok=True)
        output = self._logs / f"{type(self).__name__}.log"
        with output.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _LEASH, str(os.getpid()), *command],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.address = f"{_HOST}:{port}"

    def ready(self) -> None:
        """Wait until it answers. Raises EmulatorMissing when it ended or took a minute."""
        host, _, port = self.address.rpartition(":")
        until = time.monotonic() + _START
        while self._process is not None and self._process.poll() is None:
            try:
                socket.create_connection((host, int(port)), timeout=1.0).close()
            except OSError:
                if time.monotonic() > until:
                    break
                time.sleep(0.05)
            else:
                return
        raise EmulatorMissing(f"{type(self).__name__} did not start; see {self._logs}")

    def start(self) -> None:
        """``launch`` on a free port and wait until ``ready``."""
        self.launch()
        self.ready()

    def stop(self) -> None:
        """End the process; what it held is gone."""
        if self._process is not None:
            # It keeps nothing, so there is nothing to wait for.
            self._process.kill()
            self._process.wait()
            self._process = None


class FirestoreEmulator(Emulator):
    """Export ``address`` as FIRESTORE_EMULATOR_HOST."""

    def command(self, port: int) -> list[str]:
        """See ``Emulator``."""
        jar = _jar("cloud-firestore-emulator", "cloud-firestore-emulator*.jar")
        options = ["-Duser.language=en", "-XX:TieredStopAtLevel=1"]
        main = [_FIRESTORE_MAIN, "start", f"--host={_HOST}", f"--port={port}"]
        return [java(), *options, "-cp", str(jar), *main]


class PubSubEmulator(Emulator):
    """Export ``address`` as PUBSUB_EMULATOR_HOST, then use ``pubsub://`` + the project."""

    def __init__(self, logs: Path, signer: Signer) -> None:
        """``signer`` signs what is forwarded, as the real Pub/Sub signs its pushes."""
        super().__init__(logs)
        self._bridge = Bridge(signer)

    def command(self, port: int) -> list[str]:
        """See ``Emulator``."""
        jar = _jar("pubsub-emulator/lib", "cloud-pubsub-emulator*.jar")
        # It starts in half the time without the optimising compiler, and has little to do.
        options = ["-XX:TieredStopAtLevel=1"]
        return [java(), *options, "-jar", str(jar), f"--host={_HOST}", f"--port={port}"]

    def configure(self, subscriptions: Sequence[Subscription], topics: Iterable[str] = ()) -> None:
        """Create what does not exist yet; pushes go through the bridge, which signs them."""
        wanted = {s.topic for s in subscriptions} | set(topics)
        wanted |= {s.dead_letter_topic for s in subscriptions if s.dead_letter_topic}
        for topic in sorted(wanted):
            self._put(f"topics/{topic}", {})
        for s in subscriptions:
            made = self._put(f"subscriptions/{s.name}", _resource(s, self._bridge.endpoint(s)))
            if not made:
                raise ValueError(f"the emulator has a subscription {s.name} already")

    def stop(self) -> None:
        """End the emulator and the bridge."""
        super().stop()
        self._bridge.close()

    def _put(self, name: str, resource: dict[str, Any]) -> bool:
        """Create through the emulator's REST face; False when it existed."""
        connection = http.client.HTTPConnection(self.address, timeout=10)
        path = f"/v1/projects/{PROJECT}/{name}"
        connection.request("PUT", path, json.dumps(resource), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read().decode()
        connection.close()
        if response.status not in (200, 409):
            raise ValueError(f"the emulator refused {name}: {answer}")
        # A topic made twice is the same topic; a subscription may push elsewhere.
        return response.status == 200 or name.startswith("topics/")


def _resource(s: Subscription, endpoint: str) -> dict[str, Any]:
    """``s`` as Pub/Sub's API has it, also the parts that the emulator ignores so far."""
    resource: dict[str, Any] = {
        "topic": _full(s.topic),
        "pushConfig": {"pushEndpoint": endpoint},
        "ackDeadlineSeconds": max(10, int(s.ack_deadline)),
        "enableMessageOrdering": True,
        "retryPolicy": {
            "minimumBackoff": f"{s.min_backoff:.3f}s",
            "maximumBackoff": f"{s.max_backoff:.3f}s",
        },
    }
    if s.filter:
        resource["filter"] = s.filter
    if s.dead_letter_topic:
        resource["deadLetterPolicy"] = {
            "deadLetterTopic": _full(s.dead_letter_topic),
            "maxDeliveryAttempts": max(5, s.max_attempts),
        }
    return resource


def _full(topic: str) -> str:
    return f"projects/{PROJECT}/topics/{topic}"


@cache
def java() -> str:
    """The Java to run them with: JAVA_HOME's or the PATH's. Raises EmulatorMissing."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    if found is None:
        raise EmulatorMissing("there is no java on the PATH")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        raise EmulatorMissing(f"java must be {_OLDEST_JAVA} or newer: {said.partition(chr(10))[0]}")
    return found


def _jar(component: str, pattern: str) -> Path:
    found = sorted((sdk_root() / "platform" / component).glob(pattern))
    if not found:
        name = component.partition("/")[0]
        raise EmulatorMissing(f"gcloud lacks it: gcloud components install {name}")
    return found[-1]


@cache
def sdk_root() -> Path:
    """Where Google's SDK is installed, by the gcloud on the PATH. Raises EmulatorMissing."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        raise EmulatorMissing("there is no gcloud on the PATH")
    beside = Path(gcloud).resolve().parent.parent
    if (beside / "platform").is_dir():
        return beside
    # Wrapped by a package manager: gcloud itself knows, but takes seconds to say so.
    asked = [gcloud, "info", "--format=value(installation.sdk_root)"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    if not told:
        raise EmulatorMissing("gcloud does not say where it is installed")
    return Path(told)
