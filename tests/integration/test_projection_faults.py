"""Projections in processes that are killed, or stopped and woken up late."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.chaos.arm import Faults
from infra.local import postgres
from shared import faults
from shared.db import Database
from shared.errors import Unavailable
from shared.projection_rebuild import Busy, Rebuild
from tests.projection_stack import Visits, at_work, eventually, in_order, tables, visits


@pytest.fixture(scope="module")
def url(kit_db: Callable[[], str]) -> str:
    """One database for all."""
    return kit_db()


@pytest.fixture
def world(url: str) -> Visits:
    """The read model in it, with no events yet."""
    tables(url)
    return visits(url)


@pytest.fixture
def armed(tmp_path: Path) -> Faults:
    """The faults of this test's processes."""
    return Faults(tmp_path)


@pytest.fixture
def impatient(url: str, cluster: postgres.Cluster) -> Iterator[None]:
    """The server lets nobody wait for a lock for more than a fifth of a second."""
    admin = Database(cluster.admin_url)
    name = url.partition("?")[0].rpartition("/")[2]
    where = f"alter role kit_t in database {name}"
    admin.all(f"{where} set lock_timeout = '200ms'")
    yield
    admin.all(f"{where} reset all")
    admin.close()


def _hurried(what: str) -> str:
    """``what`` in a process whose transactions the server ends when they do nothing for a second,
    instead of half a minute."""
    hurry = "set idle_in_transaction_session_timeout = '1s'"
    return f'projector.db().all("{hurry}"), {what}'


def _complete(world: Visits, events: int) -> bool:
    applied = world.applied()
    return len(applied) == events and in_order(applied)


@pytest.mark.parametrize("passage", [1, 3])
def test_who_is_killed_at_work_has_applied_all_of_a_portion_or_nothing(
    world: Visits, armed: Faults, tmp_path: Path, passage: int
) -> None:
    """After a kill -9 in the middle of a portion others go on, and each event counts once."""
    world.came(10, times=2)
    armed.arm("projection.applied", f"kill {passage}")
    with at_work(world.url, tmp_path, "projector.run(limit=3)") as process:
        process.communicate(timeout=300)
    assert (-signal.SIGKILL, True) == (process.returncode, armed.hit("projection.applied"))
    eventually(lambda: world.projector.run() > 0)
    assert True is _complete(world, 20)
    assert [2] * 10 == list(world.counts().values())


def test_many_are_killed_at_work(world: Visits, armed: Faults, tmp_path: Path) -> None:
    """Five processes die one after the other, each further on: nothing is applied twice."""
    world.came(20, times=2)
    for passage in range(1, 6):
        armed.arm("projection.applied", f"kill {passage}")
        with at_work(world.url, tmp_path, "projector.run(limit=2)") as process:
            process.communicate(timeout=300)
        assert -signal.SIGKILL == process.returncode
        assert (2 * sum(range(passage)), True) == (len(world.applied()), in_order(world.applied()))
    eventually(lambda: world.projector.run() > 0)
    assert True is _complete(world, 40)


def test_a_commit_whose_answer_is_lost_counts_once(
    world: Visits, armed: Faults, tmp_path: Path
) -> None:
    """Who does not learn whether a portion was committed goes on behind it all the same."""
    world.came(4)
    world.projector.register()
    armed.arm("db.committing", "cut")
    with faults.installed(tmp_path), pytest.raises(Unavailable):
        world.projector.run(limit=2)
    eventually(lambda: len(world.applied()) >= 2)
    world.projector.run()
    assert True is _complete(world, 4)


@pytest.mark.usefixtures("impatient")
def test_who_is_stopped_at_work_holds_up_nobody_for_long(
    world: Visits, armed: Faults, tmp_path: Path
) -> None:
    """While it is stopped others find its lock and go; the server ends its transaction, others
    go on, and when it wakes up it has applied nothing."""
    world.came(6, times=2)
    armed.arm("projection.applied", "stop")
    with at_work(world.url, tmp_path, _hurried("projector.run(limit=3)")) as process:
        os.waitpid(process.pid, os.WUNTRACED)
        assert (True, 0) == (armed.hit("projection.applied"), world.projector.run())
        assert [] == world.applied()
        eventually(lambda: world.projector.run() > 0)
        assert True is _complete(world, 12)
        process.send_signal(signal.SIGCONT)
        _, error = process.communicate(timeout=300)
    assert (1, True) == (process.returncode, "Unavailable" in error)
    assert (0, True) == (world.projector.run(), _complete(world, 12))
    assert [] == world.projector.check()


@pytest.mark.parametrize(
    ("point", "action"),
    [
        ("projection.applied", "kill 1"),
        ("projection.applied", "kill 3"),
        ("projection.applied", "kill 4"),
        ("projection.flipped", "kill"),
    ],
)
def test_a_rebuild_that_is_killed_leaves_the_live_side(
    world: Visits, armed: Faults, tmp_path: Path, point: str, action: str
) -> None:
    """Wherever it dies, the live side answers and goes on; the next rebuild does it all."""
    world.came(10, follow=True)
    armed.arm(point, action)
    with at_work(world.url, tmp_path, "Rebuild(projector, 3).rebuild()") as process:
        process.communicate(timeout=300)
    assert (-signal.SIGKILL, True) == (process.returncode, armed.hit(point))
    assert ([("a", True), ("b", False)], 10) == (world.sides(), len(world.rows()))
    world.came(follow=True)
    eventually(lambda: len(world.rows()) == 11 or world.projector.run() > 0)
    with pytest.raises(Busy):
        world.projector.rebuild()
    _run_out(world)
    assert 11 == Rebuild(world.projector, 3).rebuild()
    assert ([("a", False), ("b", True)], True) == (world.sides(), _complete(world, 11))
    assert [] == world.projector.check()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("point", ["projection.applied", "projection.flipped"])
def test_a_rebuild_that_is_stopped_is_overtaken(
    world: Visits, armed: Faults, tmp_path: Path, point: str
) -> None:
    """While it holds its lease nobody else begins; when that ran out another does the work, and
    the one that wakes up changes nothing."""
    world.came(10, follow=True)
    armed.arm(point, "stop")
    with at_work(world.url, tmp_path, _hurried("Rebuild(projector, 3).rebuild()")) as process:
        os.waitpid(process.pid, os.WUNTRACED)
        assert (True, 10) == (armed.hit(point), len(world.rows()))
        with pytest.raises(Busy):
            world.projector.rebuild()
        eventually(lambda: _nobody_else_is_connected(world))
        _run_out(world)
        assert 10 == world.projector.rebuild()
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=300)
    assert 1 == process.returncode
    assert ([("a", False), ("b", True)], True) == (world.sides(), _complete(world, 10))
    assert [] == world.projector.check()


@pytest.mark.usefixtures("impatient")
def test_a_rebuild_waits_for_who_is_stopped_at_work(
    world: Visits, armed: Faults, tmp_path: Path
) -> None:
    """Somebody stopped while applying to the live side delays the change of sides until the
    server has ended that transaction, no longer."""
    world.came(6)
    armed.arm("projection.applied", "stop")
    with at_work(world.url, tmp_path, _hurried("projector.run(limit=3)")) as process:
        os.waitpid(process.pid, os.WUNTRACED)
        assert 6 == world.projector.rebuild()
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=300)
    assert 1 == process.returncode
    assert ([("a", False), ("b", True)], True) == (world.sides(), _complete(world, 6))


def _run_out(world: Visits) -> None:
    world.db.all("update leases set lease_until = clock_timestamp()")


def _nobody_else_is_connected(world: Visits) -> bool:
    rows = world.db.all(
        "select from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid() and state like 'idle in transaction%'"
    )
    return not rows
