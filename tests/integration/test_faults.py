"""Fault points: each action happens once, where and to whom it should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.chaos.arm import Faults
from shared import faults
from shared.db import Database, Tx
from shared.errors import Unavailable
from shared.outbox import Outbox
from tests.integration.inbox_stack import deliver, effects, event, raises
from tests.integration.outbox_stack import RecordingBus, Ticked, aggregates, database

PASSES = """
from shared import faults
for number in range(3):
    faults.point("mail.accepted")
    print(number, flush=True)
"""
# Commits one change with one message, as a request does.
CHANGES = """
import sys
from shared.db import Database, Tx
from shared.outbox import Outbox
from tests.integration.outbox_stack import RecordingBus, Ticked
db = Database(sys.argv[1], outbox=Outbox("producer", RecordingBus()))
def work(tx):
    tx.run("insert into thing values (:id, 1)", id=sys.argv[2])
    tx.emit(Ticked(thing=sys.argv[2], n=1))
db.transaction(work)
"""


@pytest.fixture
def armed(tmp_path: Path) -> Faults:
    """The faults of this test's processes."""
    return Faults(tmp_path)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a program with this test's fault points."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: str) -> subprocess.Popen[str]:
        made = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, "FAULT_POINTS": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(made)
        return made

    yield start
    for each in started:
        each.kill()
        each.communicate()


@pytest.fixture(scope="module")
def url(kit_db: Callable[[], str]) -> str:
    """One database for this module."""
    made = kit_db()
    aggregates(made)
    return made


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    """Its handle."""
    raises.clear()
    with database(url, Outbox("producer", RecordingBus())) as made:
        yield made


def test_kill_ends_the_process_there(
    armed: Faults, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """At the passage that was asked for the process dies by SIGKILL, and says who it was."""
    armed.arm("mail.accepted", "kill 2")
    process = child(PASSES)
    assert "0\n" == process.communicate(timeout=300)[0]
    assert (-signal.SIGKILL, process.pid) == (process.returncode, armed.victim("mail.accepted"))


def test_stop_halts_the_process_until_it_is_continued(
    armed: Faults, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """A stopped process goes on where it stopped, once, when somebody says so."""
    armed.arm("mail.accepted", "stop")
    process = child(PASSES)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert (True, True) == (os.WIFSTOPPED(status), armed.hit("mail.accepted"))
    process.send_signal(signal.SIGCONT)
    assert "0\n1\n2\n" == process.communicate(timeout=300)[0]


def test_only_one_process_is_hit(
    armed: Faults, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """Of several processes that pass an armed point one performs the action."""
    armed.arm("mail.accepted", "kill")
    processes = [child(PASSES) for _ in range(4)]
    for process in processes:
        process.communicate(timeout=300)
    assert [-signal.SIGKILL, 0, 0, 0] == sorted(process.returncode for process in processes)


def test_an_error_is_raised_once(armed: Faults, tmp_path: Path) -> None:
    """``error`` raises Injected at that point; the next passage is free."""
    armed.arm("erasure.requested", "error")
    with faults.installed(tmp_path):
        with pytest.raises(faults.Injected):
            faults.point("erasure.requested")
        faults.point("erasure.requested")
    assert True is armed.hit("erasure.requested")


def test_without_the_setting_nothing_happens(armed: Faults) -> None:
    """A file in some directory does nothing to a process that was not told of it."""
    armed.arm("erasure.requested", "error")
    faults.point("erasure.requested")
    assert (False, False) == (faults.armed(), armed.hit("erasure.requested"))


def test_what_makes_no_sense_is_refused(armed: Faults, tmp_path: Path) -> None:
    """Unknown points and actions are mistakes of the test, so they are not passed over."""
    armed.arm("erasure.requested", "cut")
    armed.arm("erasure.recorded", "explode")
    with faults.installed(tmp_path):
        with pytest.raises(KeyError):
            faults.point("erasure.forgotten")
        for name in ("erasure.requested", "erasure.recorded"):
            with pytest.raises(ValueError, match=name):
                faults.point(name)
    with pytest.raises(KeyError):
        armed.arm("erasure.forgotten", "kill")


def test_a_cleared_directory_is_harmless(armed: Faults, tmp_path: Path) -> None:
    """After ``clear`` nothing is armed and nobody was hit."""
    armed.arm("erasure.requested", "error")
    armed.clear()
    with faults.installed(tmp_path):
        faults.point("erasure.requested")
    assert False is armed.hit("erasure.requested")


@pytest.mark.parametrize("emits", [False, True], ids=["alone", "with a message"])
def test_a_cut_hides_the_answer_to_a_commit_that_happened(
    armed: Faults, tmp_path: Path, db: Database, emits: bool
) -> None:
    """The caller is told that nobody knows; the change is there, and so is its message."""
    thing = f"cut {emits}"

    def work(tx: Tx) -> None:
        tx.run("insert into thing values (:id, 1)", id=thing)
        if emits:
            tx.emit(Ticked(thing=thing, n=1))

    armed.arm("db.committing", "cut")
    with faults.installed(tmp_path), pytest.raises(Unavailable):
        db.transaction(work)
    wait_for(lambda: effects(db, thing) == 1)
    assert (1, int(emits)) == (effects(db, thing), len(waiting(db, thing)))


@pytest.mark.parametrize("point", ["db.committing", "outbox.committed", "outbox.published"])
def test_a_death_around_the_commit_leaves_the_message(
    armed: Faults,
    child: Callable[..., subprocess.Popen[str]],
    url: str,
    db: Database,
    point: str,
) -> None:
    """Whoever dies after COMMIT was sent leaves the change and, not marked as sent, its message."""
    armed.arm(point, "kill")
    process = child(CHANGES, url, point)
    process.communicate(timeout=300)
    assert (-signal.SIGKILL, True) == (process.returncode, armed.hit(point))
    wait_for(lambda: effects(db, point) == 1)
    assert (1, 1) == (effects(db, point), len(waiting(db, point)))


@pytest.mark.parametrize(("point", "left"), [("inbox.handled", 0), ("inbox.committed", 1)])
def test_a_message_that_fails_around_its_commit_takes_effect_once(
    armed: Faults, tmp_path: Path, db: Database, point: str, left: int
) -> None:
    """Before the commit nothing stays, after it all does; delivered again, it counts once."""
    env = event(point)
    armed.arm(point, "error")
    with faults.installed(tmp_path):
        with pytest.raises(faults.Injected):
            deliver(db, env)
        after = effects(db, point)
        outcome = deliver(db, env)
    assert (left, "duplicate" if left else "handled") == (after, outcome)
    assert 1 == effects(db, point)


def waiting(db: Database, thing: str) -> list[str]:
    """What the outbox holds of one thing."""
    return [row["key"] for row in db.all("select key from outbox where key = :key", key=thing)]


def wait_for(condition: Callable[[], bool]) -> None:
    """The server goes on with a COMMIT whose client has gone: give it a moment."""
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
