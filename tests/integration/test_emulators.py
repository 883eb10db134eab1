"""Google's emulators as processes of ours; skipped, loudly, where they are not installed."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.emulator import Emulator, EmulatorMissing, FirestoreEmulator, java, sdk_root
from tests.integration.bus_stack import ROOT, until

_PARENT = """
import sys, time
from pathlib import Path
from infra.local.emulator import FirestoreEmulator
emulator = FirestoreEmulator(Path(sys.argv[1]))
emulator.start()
print(emulator.address, flush=True)
time.sleep(60)
"""


def test_firestore_answers_and_dies_with_its_parent(tmp_path: Path) -> None:
    """The Firestore emulator listens where it says, and a kill -9 of its parent ends it."""
    try:
        FirestoreEmulator(tmp_path).command(1)
    except EmulatorMissing as missing:
        pytest.skip(f"Google's Firestore emulator is not tested: {missing}")
    command = [sys.executable, "-c", _PARENT, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        address = parent.stdout.readline().strip()
        assert answers(address)
        parent.send_signal(signal.SIGKILL)
    if sys.platform == "linux":
        until(lambda: not answers(address))


def answers(address: str) -> bool:
    """Does an HTTP server listen at ``address``?"""
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without gcloud or Java the message names it, and nothing is started."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    for find, name in ((java, "java"), (sdk_root, "gcloud")):
        find.cache_clear()
        with pytest.raises(EmulatorMissing, match=name):
            find()
        find.cache_clear()


def test_refuses_an_old_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Java below 17 is refused by its version."""
    fake = tmp_path / "java"
    fake.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    fake.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    java.cache_clear()
    with pytest.raises(EmulatorMissing, match="17 or newer"):
        java()
    java.cache_clear()


def test_an_emulator_that_ends_at_once_is_reported(tmp_path: Path) -> None:
    """A process that does not come up is an error that points to its log, not a long wait."""

    class Broken(Emulator):
        def command(self, port: int) -> list[str]:
            return [sys.executable, "-c", "print('no')"]

    with pytest.raises(EmulatorMissing, match="did not start"):
        Broken(tmp_path).start()
