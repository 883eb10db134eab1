"""A held commit: what a request does in its database becomes one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.db import Database, Tx, UniqueViolation
from shared.wire import SqlError, Statement
from tests.integration.db_stack import account, balance
from tests.integration.held_stack import add, claim, held


def test_all_of_a_request_commits_at_once(db: Database, other: Database) -> None:
    """Transactions and statements see what was written before them; others see it at the end."""
    name = account(db)
    with db.holding(claim) as holding:
        db.transaction(add(name))
        db.transaction(add(name))
        db.pipeline(
            Statement("update account set balance = balance + 1 where id = :i", {"i": name})
        )
        assert (3, 0) == (balance(db, name), balance(other, name))
        db.settle(
            held(holding.tx), Statement("insert into account values (:id, 7)", {"id": f"{name}!"})
        )
        assert (3, 7) == (balance(other, name), balance(other, f"{name}!"))
    db.transaction(add(name))
    assert 4 == balance(other, name)


def test_what_is_not_settled_is_rolled_back(db: Database) -> None:
    """Leaving the block, with an error or without, undoes everything; the handle works on."""
    name = account(db)
    with db.holding(claim):
        db.transaction(add(name))

    def fail() -> None:
        with db.holding(claim):
            db.transaction(add(name))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert 0 == balance(db, name)


def test_what_is_kept_stands_although_nothing_is_settled(db: Database) -> None:
    """``Tx.keep`` outlives the refusal; that of a part that failed does not count."""
    name = account(db)

    def keep(tx: Tx) -> None:
        add(name)(tx)
        tx.keep()

    def keep_and_fail(tx: Tx) -> None:
        keep(tx)
        raise LookupError

    def refused(*works: Callable[[Tx], object]) -> None:
        with db.holding(claim):
            for work in works:
                db.transaction(work)
            raise LookupError

    with pytest.raises(LookupError):
        refused(add(name), keep_and_fail)
    assert 0 == balance(db, name)
    with pytest.raises(LookupError):
        refused(add(name), keep)
    assert 2 == balance(db, name)


def test_a_part_that_fails_is_undone_alone(db: Database) -> None:
    """Whoever catches its error goes on as if it had been a transaction of its own."""
    name = account(db)
    told: list[str] = []

    def fail(tx: Tx) -> None:
        add(name, 10)(tx)
        tx.after(lambda: told.append("failed"))
        tx.emit(None, key="k")  # type: ignore[arg-type]
        tx.run("insert into account values (:id, 0)", id=name)

    def good(tx: Tx) -> None:
        add(name)(tx)
        tx.after(lambda: told.append("good"))

    with db.holding(claim) as holding:
        db.transaction(good)
        for _ in range(2):
            with pytest.raises(UniqueViolation):
                db.transaction(fail)
            with pytest.raises(UniqueViolation):
                db.one("insert into account values (:id, 0)", id=name)
            with pytest.raises(SqlError):
                db.one("select nonsense")
            with pytest.raises(KeyError):
                db.one("select :absent", present=1)
            db.transaction(good)
        db.transaction(lambda _: None)
        assert [] == told
        db.settle(held(holding.tx))
    assert (3, ["good"] * 3) == (balance(db, name), told)


def test_messages_and_callbacks_wait_for_the_commit(db: Database) -> None:
    """They are sent after it, all together, and a callback's own transaction is its own."""
    name = account(db)
    seen: list[Any] = []

    class Recorder:
        def bind(self, db: Database) -> None:
            """Needs none."""

        def write(self, tx: Tx, pending: list[Any], *before: Any) -> int:
            tx.commit()
            return len(pending)

        def publish(self, leased: Any) -> None:
            seen.append(leased)

    db.outbox = Recorder()

    def work(tx: Tx) -> None:
        add(name)(tx)
        tx.emit(None, key="k")  # type: ignore[arg-type]
        tx.after(lambda: seen.append(db.transaction(add(name))))

    with db.holding(claim) as holding:
        db.transaction(work)
        db.transaction(work)
        assert [] == seen
        db.settle(held(holding.tx))
        assert 4 == balance(db, name)
    assert ([2, 1, 1], 4) == (seen, balance(db, name))


def test_a_last_statement_does_not_end_what_is_held(db: Database, other: Database) -> None:
    """``Tx.finish`` in a later part commits nothing by itself."""
    name = account(db)
    with db.holding(claim):
        db.transaction(add(name))
        db.transaction(
            lambda tx: tx.finish("update account set balance = 9 where id = :id", id=name)
        )
        assert 0 == balance(other, name)
    assert 0 == balance(db, name)


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_apart_stands_by_itself(db: Database, other: Database, begun: bool) -> None:
    """``apart`` commits at once, before or beside the held transaction, and does not end it."""
    name, key = account(db), account(db)
    with db.holding(claim):
        if begun:
            db.transaction(add(name))
        db.apart(add(key))
        assert 1 == balance(other, key)
        db.transaction(add(name))
        assert (1 + begun, 0) == (balance(db, name), balance(other, name))
    assert (0, 1) == (balance(db, name), balance(db, key))
    db.apart(add(key))
    assert 2 == balance(db, key)


def test_one_request_has_one_isolation_level(db: Database) -> None:
    """Another level cannot be had any more, and doing without it in silence would be wrong."""
    name = account(db)
    with db.holding(claim):
        db.transaction(add(name), isolation="READ COMMITTED")
        with pytest.raises(RuntimeError):
            db.transaction(add(name))
        assert 1 == db.transaction(add(name), isolation="READ COMMITTED")
        assert 2 == balance(db, name)


def test_transactions_do_not_nest_when_held_either(db: Database) -> None:
    """Using the database beside ``tx`` is refused as ever."""
    name = account(db)
    for first in (True, False):
        with db.holding(claim):
            if not first:
                db.transaction(add(name))
            with pytest.raises(RuntimeError):
                db.transaction(lambda _: db.transaction(add(name)))
            with pytest.raises(RuntimeError):
                db.transaction(lambda _: balance(db, name))
    assert 0 == balance(db, name)


def test_a_refused_claim_refuses_the_transaction(db: Database) -> None:
    """Nothing is held; the next transaction claims anew."""
    name = account(db)
    answers = [LookupError(), None]

    def refuse(_: Tx) -> None:
        if (error := answers.pop(0)) is not None:
            raise error

    with db.holding(refuse) as holding:
        with pytest.raises(LookupError):
            db.transaction(add(name))
        assert None is holding.tx
        db.transaction(add(name))
        db.settle(held(holding.tx))
    assert 1 == balance(db, name)
