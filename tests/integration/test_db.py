"""Transactions: constraints, time-outs, and connections that break under them."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import pytest

from shared.db import (
    CheckViolation,
    ConstraintViolation,
    Database,
    ExclusionViolation,
    ForeignKeyViolation,
    LockTimeout,
    Tx,
    UniqueViolation,
)
from shared.errors import Unavailable
from shared.wire import SqlError, Statement
from tests.integration.db_stack import account, balance, together


def test_a_lock_held_too_long_is_a_lock_timeout(db: Database) -> None:
    """With ``lock_timeout`` a waiting writer gives up with 503; the connection stays usable."""
    name = account(db)

    def touch(tx: Tx) -> None:
        tx.run("update account set balance = 5 where id = :id", id=name)

    def holding(tx: Tx) -> list[object]:
        touch(tx)
        return together(
            lambda: db.transaction(touch, isolation="READ COMMITTED", lock_timeout="50ms"),
        )

    (refused,) = db.transaction(holding)
    assert isinstance(refused, LockTimeout)
    assert (503, 5) == (refused.status, balance(db, name))


@pytest.mark.parametrize(
    ("sql", "kind", "constraint"),
    [
        ("insert into guarded (id) values (1)", UniqueViolation, "guarded_pkey"),
        ("insert into guarded values (2, 7)", ForeignKeyViolation, "guarded_parent_fkey"),
        ("insert into guarded values (3, null, -1)", CheckViolation, "positive"),
        ("insert into guarded values (4, null, 1, '[5,6)')", ExclusionViolation, "apart"),
    ],
)
def test_constraints_have_names(
    db: Database, sql: str, kind: type[ConstraintViolation], constraint: str
) -> None:
    """A violated constraint is an exception of its kind that names it; the rest is rolled back."""
    db.all(
        "create table if not exists guarded (id int primary key, parent int references guarded,"
        " n int constraint positive check (n > 0), span int4range,"
        " constraint apart exclude using gist (span with &&))"
    )
    db.all("insert into guarded (id, span) values (1, '[1,9)') on conflict do nothing")
    name = account(db)

    def work(tx: Tx) -> None:
        tx.run("update account set balance = 1 where id = :id", id=name)
        tx.run(sql)

    with pytest.raises(kind) as refused:
        db.transaction(work)
    assert constraint == refused.value.constraint
    with pytest.raises(kind):
        db.all(sql)
    assert 0 == balance(db, name)


def test_an_exception_rolls_back_and_emits_nothing(db: Database) -> None:
    """Whatever a transaction's function raises comes out, and nothing of it stays."""

    class Recorder:
        written: ClassVar[list[object]] = []

        def bind(self, db: Database) -> None:
            """Needs none."""

        def write(self, tx: Tx, pending: list[Any], *before: Any) -> None:
            self.written.append(pending)

        def publish(self, leased: Any) -> None:
            self.written.append(leased)

    name = account(db)
    db.outbox = Recorder()

    def work(tx: Tx) -> None:
        tx.run("update account set balance = 1 where id = :id", id=name)
        tx.emit(None, key="k")  # type: ignore[arg-type]
        raise LookupError("no")

    with pytest.raises(LookupError):
        db.transaction(work)
    assert (0, []) == (balance(db, name), Recorder.written)


def test_a_swallowed_violation_does_not_pass_for_a_commit(db: Database) -> None:
    """Who catches an error inside a transaction and goes on is told that nothing was kept."""
    name = account(db)

    def work(tx: Tx) -> None:
        tx.run("update account set balance = 1 where id = :id", id=name)
        with pytest.raises(UniqueViolation):
            tx.run("insert into account values (:id, 0)", id=name)

    with pytest.raises(SqlError) as refused:
        db.transaction(work)
    assert ("25P02", 0) == (refused.value.code, balance(db, name))


def test_a_transaction_cannot_be_ended_from_within(db: Database) -> None:
    """Using the database beside ``tx`` on the same thread is refused: it would be the same one."""
    name = account(db)

    def work(tx: Tx) -> None:
        tx.run("update account set balance = 1 where id = :id", id=name)
        db.transaction(lambda inner: inner.run("select 1"))

    with pytest.raises(RuntimeError):
        db.transaction(work)
    assert 0 == balance(db, name)


def test_an_empty_transaction_sends_nothing(db: Database) -> None:
    """A function that asks nothing of the database costs no round trip."""
    seen: list[int] = []
    db.transaction(lambda tx: seen.append(tx.exchanges))
    assert [0] == seen


def test_begin_and_the_first_statement_travel_together(db: Database) -> None:
    """One statement costs two exchanges with its COMMIT, or one when it is said to be the last."""
    counts: list[Tx] = []

    def two(tx: Tx) -> None:
        counts.append(tx)
        tx.value("select 1")

    def one(tx: Tx) -> None:
        counts.append(tx)
        tx.finish("select 1")

    db.transaction(two)
    db.transaction(one)
    assert [2, 1] == [tx.exchanges for tx in counts]


def kill(db: Database) -> None:
    """End the connection of this thread from outside, as an idle timeout would."""
    row = db.one("select pg_backend_pid() as pid")
    assert row is not None
    other = Database(db._url)
    other.all("select pg_terminate_backend(:pid::int, 5000)", pid=row["pid"])
    other.close()


def test_an_idle_connection_that_died_is_replaced(db: Database) -> None:
    """Neither a read nor a transaction's first statement notices."""
    name = account(db)
    kill(db)
    assert 0 == balance(db, name)
    kill(db)
    runs = 0

    def work(tx: Tx) -> int:
        nonlocal runs
        runs += 1
        return tx.run("update account set balance = balance + 1 where id = :id", id=name)

    assert 1 == db.transaction(work)
    assert (1, 2) == (balance(db, name), runs)


def test_writes_outside_transactions_are_not_repeated(db: Database) -> None:
    """A pipeline that may not run twice is Unavailable on a dead connection, and works again."""
    name = account(db)
    add = Statement("update account set balance = balance + 1 where id = :id", {"id": name})
    kill(db)
    with pytest.raises(Unavailable):
        db.pipeline(add)
    assert 0 == balance(db, name)
    db.pipeline(add)
    assert 1 == balance(db, name)


def test_a_connection_lost_in_the_middle_is_unavailable(db: Database) -> None:
    """After its first statement a transaction is not silently repeated."""
    name = account(db)
    runs = 0

    def work(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        pid = tx.value("select pg_backend_pid()")
        other = Database(db._url)
        together(lambda: other.all("select pg_terminate_backend(:p::int, 5000)", p=pid))
        tx.run("update account set balance = 1 where id = :id", id=name)

    with pytest.raises(Unavailable):
        db.transaction(work)
    assert (1, 0) == (runs, balance(db, name))


@pytest.mark.parametrize("last", [False, True], ids=["commit alone", "with the last statement"])
def test_a_connection_lost_at_commit_is_unavailable(db: Database, last: bool) -> None:
    """When COMMIT gets no answer nobody runs it again: the caller hears 503 and may look."""
    name = account(db)
    db.one("select 1")
    runs = 0

    def work(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        add = "update account set balance = balance + 1 where id = :id"
        if not last:
            tx.run(add, id=name)
        wire = tx._wire
        real = wire._handle_messages

        def deaf(context: Any) -> None:
            real(context)
            if context.statement == "COMMIT":
                raise OSError("the answer never came")

        wire._handle_messages = deaf  # type: ignore[method-assign]
        if last:
            tx.finish(add, id=name)

    with pytest.raises(Unavailable):
        db.transaction(work)
    assert (1, 1) == (runs, balance(db, name))


def test_a_forked_child_opens_its_own_connection(db: Database) -> None:
    """Parent and child use one handle and never one connection."""
    row = db.one("select pg_backend_pid() as pid")
    assert row is not None
    child = os.fork()
    if child == 0:
        code = 1
        try:
            mine = db.one("select pg_backend_pid() as pid")
            code = 0 if mine is not None and mine["pid"] != row["pid"] else 2
            db.close()
        finally:
            os._exit(code)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert row == db.one("select pg_backend_pid() as pid")


def test_threads_share_a_handle_but_no_connection(db: Database) -> None:
    """Each thread gets its own connection."""
    pids = together(*[lambda: db.all("select pg_backend_pid() as pid")] * 4)
    assert 4 == len({str(pid) for pid in pids})


def test_a_wrong_password_is_unavailable(url: str) -> None:
    """A database that refuses us is away, as far as the caller can tell."""
    db = Database(url.replace("postgres:", "nobody:", 1))
    with pytest.raises(Unavailable):
        db.one("select 1")
