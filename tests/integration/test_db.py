"""Transactions: retries, isolation levels, and a PostgreSQL that goes away and comes back."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from shared.db import (
    CheckViolation,
    ConstraintViolation,
    Contention,
    Database,
    ExclusionViolation,
    ForeignKeyViolation,
    Isolation,
    LockTimeout,
    Tx,
    UniqueViolation,
)
from shared.errors import Unavailable
from shared.wire import SqlError, Statement


@pytest.fixture(scope="module")
def url(new_db: Callable[[], str]) -> str:
    """One database for this module."""
    made = new_db()
    db = Database(made)
    db.all("create table account (id text primary key, balance int not null)")
    db.close()
    return made


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    """A database handle of the test's own."""
    made = Database(url)
    yield made
    made.close()


def account(db: Database, balance: int = 0) -> str:
    """A new account."""
    name = uuid4().hex
    db.all("insert into account values (:id, :balance)", id=name, balance=balance)
    return name


def balance(db: Database, name: str) -> Any:
    """What an account holds."""
    row = db.one("select balance from account where id = :id", id=name)
    return row and row["balance"]


def together(*works: Callable[[], object]) -> list[object]:
    """Run ``works`` at once, each in a thread; their results or exceptions."""
    results: list[object] = [None] * len(works)

    def run(at: int) -> None:
        try:
            results[at] = works[at]()
        except Exception as error:  # noqa: BLE001 -- the test looks at it
            results[at] = error

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


class Meeting:
    """Two first runs meet here; re-runs pass."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2)
        self.runs = 0
        self._lock = threading.Lock()

    def pass_by(self) -> None:
        """Wait for the other, the first time."""
        with self._lock:
            self.runs += 1
            first = self.runs <= 2
        if first:
            self._barrier.wait(10)


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
    assert (2, 3) == (balance(db, name), runs)


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
    assert (2, 2, 3) == (balance(db, first), balance(db, second), meeting.runs)


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
    assert (1, 3) == on_duty(db, "SERIALIZABLE")


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

        def write(self, tx: Tx, pending: list[Any]) -> None:
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
        core = tx._wire._core
        real = core.handle_messages

        def deaf(context: Any) -> None:
            real(context)
            if context.statement == "COMMIT":
                raise OSError("the answer never came")

        core.handle_messages = deaf
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
