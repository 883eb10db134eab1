"""Isolation levels: what each prevents, what it allows, and what is run again."""

from __future__ import annotations

import pytest

from shared.db import (
    Contention,
    Database,
    Isolation,
    Tx,
)
from tests.integration.db_stack import Meeting, account, balance, together


def increments(db: Database, name: str, isolation: Isolation) -> tuple[list[object], int]:
    """Two concurrent read-then-write increments; their outcomes and how often they ran."""
    meeting = Meeting()

    def work(tx: Tx) -> str:
        seen = tx.value("select balance from account where id = :id", id=name)
        meeting.pass_by()
        tx.run("update account set balance = :b where id = :id", b=seen + 1, id=name)
        return "ok"

    def one() -> object:
        return db.transaction(work, isolation=isolation)

    return together(one, one), meeting.runs


def test_a_serialization_failure_runs_the_transaction_again(db: Database) -> None:
    """REPEATABLE READ loses no update: the second writer runs again (40001) and both count."""
    name = account(db)
    results, runs = increments(db, name, "REPEATABLE READ")
    assert ["ok", "ok"] == results
    assert 2 == balance(db, name)
    assert runs > 2


def test_read_committed_loses_updates(db: Database) -> None:
    """Control: the same increments under READ COMMITTED lose one."""
    name = account(db)
    results, runs = increments(db, name, "READ COMMITTED")
    assert ["ok", "ok"] == results
    assert (1, 2) == (balance(db, name), runs)


def test_a_deadlock_runs_one_of_the_two_again(db: Database) -> None:
    """Two transactions that lock in opposite order both commit (40P01 is retried)."""
    first, second = account(db), account(db)
    meeting = Meeting()

    def locking(*names: str) -> object:
        def work(tx: Tx) -> str:
            for number, name in enumerate(names):
                tx.run("update account set balance = balance + 1 where id = :id", id=name)
                if number == 0:
                    meeting.pass_by()
            return "ok"

        return db.transaction(work, isolation="READ COMMITTED")

    results = together(lambda: locking(first, second), lambda: locking(second, first))
    assert ["ok", "ok"] == results
    assert (2, 2) == (balance(db, first), balance(db, second))
    assert meeting.runs > 2  # not exactly 3: the one that runs again may overtake the woken one


def test_what_never_serializes_is_contention(db: Database) -> None:
    """After eight runs the caller hears 503, and nothing is kept."""
    runs = 0

    def work(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        tx.run("do $$ begin raise exception using errcode = '40001'; end $$")

    with pytest.raises(Contention) as refused:
        db.transaction(work)
    assert (8, 503) == (runs, refused.value.status)


def reads_twice(db: Database, name: str, isolation: Isolation) -> list[int]:
    """Two reads of one transaction with somebody's commit in between."""
    other = Database(db._url)

    def work(tx: Tx) -> list[int]:
        read = "select balance from account where id = :id"
        before = tx.value(read, id=name)
        together(lambda: other.all("update account set balance = 9 where id = :id", id=name))
        return [before, tx.value(read, id=name)]

    return db.transaction(work, isolation=isolation)


def test_repeatable_read_repeats(db: Database) -> None:
    """A transaction sees one snapshot from its first statement on."""
    assert [1, 1] == reads_twice(db, account(db, 1), "REPEATABLE READ")


def test_read_committed_does_not_repeat(db: Database) -> None:
    """Control: READ COMMITTED sees what was committed meanwhile."""
    assert [1, 9] == reads_twice(db, account(db, 1), "READ COMMITTED")


def on_duty(db: Database, isolation: Isolation) -> tuple[int, int]:
    """Two doctors go home when another is on duty; how many stay, and the runs it took."""
    names = [account(db, 1), account(db, 1)]
    meeting = Meeting()

    def leave(me: str) -> object:
        def work(tx: Tx) -> str:
            count = tx.value("select sum(balance) from account where id = any(:names)", names=names)
            meeting.pass_by()
            if count >= 2:
                tx.run("update account set balance = 0 where id = :me", me=me)
            return "ok"

        return db.transaction(work, isolation=isolation)

    assert ["ok", "ok"] == together(lambda: leave(names[0]), lambda: leave(names[1]))
    return sum(balance(db, name) for name in names), meeting.runs


def test_repeatable_read_allows_write_skew(db: Database) -> None:
    """Snapshot isolation's known anomaly: both leave. Rules over several rows need more."""
    assert (0, 2) == on_duty(db, "REPEATABLE READ")


def test_serializable_prevents_write_skew(db: Database) -> None:
    """Under SERIALIZABLE one of them runs again and stays."""
    staying, runs = on_duty(db, "SERIALIZABLE")
    assert 1 == staying
    assert runs > 2  # not exactly 3: it may begin again before the other's commit is seen
