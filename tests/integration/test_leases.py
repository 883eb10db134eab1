"""Leases: one holder at a time, and a late one does no harm."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from shared.db import Database, Tx
from shared.leases import Lease, LeaseLost, release, take
from tests.integration.db_stack import together


@pytest.fixture(scope="module")
def db(kit_db: Callable[[], str]) -> Database:
    """One database for all; each test leases a name of its own."""
    return Database(kit_db())


@pytest.fixture
def name() -> str:
    """Nobody's yet."""
    return uuid4().hex


def _run_out(db: Database, name: str) -> None:
    db.all("update leases set lease_until = clock_timestamp() where name = :name", name=name)


def test_one_of_many_takes_it(db: Database, name: str) -> None:
    """Of twenty threads that want the same lease at once, one has it."""
    found = together(*[lambda: take(db, name, 60)] * 20)
    assert [Lease(name, 1)] == [lease for lease in found if lease is not None]


def test_one_of_many_takes_over(db: Database, name: str) -> None:
    """Of twenty threads that find a lease run out, one has it, with a higher fence."""
    assert Lease(name, 1) == take(db, name, 60)
    _run_out(db, name)
    found = together(*[lambda: take(db, name, 60)] * 20)
    assert [Lease(name, 2)] == [lease for lease in found if lease is not None]


def test_it_runs_out_by_the_clock_of_the_database(db: Database, name: str) -> None:
    """A lease of no time is free again at once; the fence still grows."""
    found = [take(db, name, 0) for _ in range(3)]
    assert [Lease(name, 1), Lease(name, 2), Lease(name, 3)] == found


def test_a_holder_at_work_keeps_it(db: Database, name: str) -> None:
    """With each transaction the holder may ask for more time, as long as nobody else has it."""
    first = take(db, name, 0)
    assert first is not None
    db.transaction(lambda tx: first.hold(tx, 60))
    assert None is take(db, name, 60)
    _run_out(db, name)
    assert Lease(name, 2) == take(db, name, 0)
    with pytest.raises(LeaseLost):
        db.transaction(lambda tx: first.hold(tx, 60))
    assert Lease(name, 3) == take(db, name, 60)


def test_it_can_be_given_back(db: Database, name: str) -> None:
    """A released lease is free; releasing a lost one takes it from nobody."""
    first = take(db, name, 60)
    assert first is not None
    assert None is take(db, name, 60)
    release(db, first)
    assert Lease(name, 2) == take(db, name, 60)
    release(db, first)
    assert None is take(db, name, 60)


def test_names_are_independent(db: Database) -> None:
    """Who has one lease keeps nobody from another."""
    assert None is not take(db, uuid4().hex, 60)
    assert None is not take(db, uuid4().hex, 60)


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_a_late_holder_changes_nothing(db: Database, name: str, isolation: str) -> None:
    """Who slept past the lease is refused once another has taken it."""
    late = take(db, name, 60)
    assert late is not None
    db.transaction(late.hold)
    _run_out(db, name)
    db.transaction(late.hold)  # run out, and yet nobody else has it
    newer = take(db, name, 60)
    assert newer is not None
    with pytest.raises(LeaseLost):
        db.transaction(late.hold, isolation=isolation)  # type: ignore[arg-type]
    db.transaction(newer.hold)


def test_nobody_takes_over_in_the_middle(db: Database, name: str) -> None:
    """While the holder's transaction is open the lease is not to be had, and nobody waits."""
    lease = take(db, name, 60)
    assert lease is not None

    def work(tx: Tx) -> list[object]:
        lease.hold(tx)
        tx.run("update leases set lease_until = '-infinity' where name = :name", name=name)
        return together(lambda: take(db, name, 60))

    assert [None] == db.transaction(work)
    assert Lease(name, 2) == take(db, name, 60)


def test_a_snapshot_from_before_does_not_hide_the_new_holder(db: Database, name: str) -> None:
    """A late holder whose REPEATABLE READ snapshot is older than the change of hands is refused."""
    late = take(db, name, 60)
    assert late is not None

    def work(tx: Tx) -> None:
        tx.all("select 1")  # the snapshot
        together(lambda: _run_out(db, name), lambda: None)
        together(lambda: take(db, name, 60))
        late.hold(tx)

    with pytest.raises(LeaseLost):
        db.transaction(work)
