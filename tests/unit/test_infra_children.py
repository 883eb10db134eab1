"""The platform's processes: restarted when they die, down when killed, gone with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local.children import Children

_SLEEP = [sys.executable, "-c", "print('here', flush=True); import time; time.sleep(60)"]
_STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print('here', flush=True); time.sleep(60)",
]


@pytest.fixture
def said() -> list[str]:
    """What the family told its user."""
    return []


@pytest.fixture
def family(tmp_path: Path, said: list[str]) -> Iterator[Children]:
    """An empty family with a short back-off."""
    made = Children(tmp_path / "log", say=said.append, first_pause=0.01)
    yield made
    made.close()


def _until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _starts(family: Children, name: str) -> int:
    return family.log(name).read_text().count("here")


def test_a_child_writes_into_its_own_log(family: Children) -> None:
    """Nothing of a child's output reaches the console."""
    family.add("one", _SLEEP, os.environ)
    _until(lambda: _starts(family, "one") == 1)


def test_a_dead_child_is_started_again(family: Children, said: list[str]) -> None:
    """A child that somebody ended with -9 comes back, and the user hears why."""
    family.add("one", _SLEEP, os.environ)
    _until(lambda: _starts(family, "one") == 1)
    family.signal("one", signal.SIGKILL)
    _until(lambda: _starts(family, "one") == 2)
    assert family.alive("one")
    assert "one was killed (SIGKILL)" in said[0]


def test_a_child_that_cannot_live_is_started_ever_later(family: Children, said: list[str]) -> None:
    """The pause doubles, so that a broken child does not fill the log."""
    family.add("one", [sys.executable, "-c", "exit(3)"], os.environ)
    _until(lambda: len(said) >= 4)
    pauses = [float(line.split("again in ")[1].split()[0]) for line in said[:4]]
    assert sorted(pauses) == pauses
    assert "ended with code 3" in said[0]


def test_a_killed_child_stays_down_until_it_is_started(family: Children) -> None:
    """A crash test decides itself when its victim returns."""
    family.add("one", _SLEEP, os.environ)
    _until(lambda: _starts(family, "one") == 1)
    family.kill("one")
    time.sleep(0.3)
    assert not family.alive("one")
    family.start("one")
    _until(lambda: _starts(family, "one") == 2)


def test_a_child_that_ignores_the_request_is_ended(family: Children, said: list[str]) -> None:
    """Stopping takes no longer than its limit."""
    family.add("one", _STUBBORN, os.environ)
    _until(lambda: _starts(family, "one") == 1)
    family.stop(["one"], timeout=0.2)
    assert not family.alive("one")
    assert "did not stop" in said[-1]


def test_a_child_dies_with_a_parent_that_is_killed() -> None:
    """Ending the parent with -9 leaves no child behind."""
    parent = (
        "import subprocess, sys, os, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import os, sys, time\\n"
        "from infra.local.lifeline import follow\\n"
        "follow(int(sys.argv[1]))\\n"
        "print(os.getpid(), flush=True)\\n"
        "time.sleep(60)', str(os.getpid())])\n"
        "time.sleep(60)"
    )
    running = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    child = int(running.stdout.readline())
    running.kill()
    running.wait()
    # The pipe ends when the last process that holds it has ended.
    assert "" == running.stdout.read()
    assert child != running.pid


def test_a_child_whose_parent_is_gone_already_ends_at_once() -> None:
    """The parent may die between starting the child and the child's request."""
    ran = subprocess.run(
        [sys.executable, "-c", "from infra.local.lifeline import follow; follow(1 << 30)"],
        timeout=30,
        check=False,
    )
    assert -signal.SIGKILL == ran.returncode
