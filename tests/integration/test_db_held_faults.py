"""A held commit when locks, connections and serialization fail it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.db import Contention, Database, Isolation, LockTimeout, Tx
from shared.errors import Unavailable
from tests.integration.db_stack import account, balance, together
from tests.integration.held_stack import add, claim, held
from tests.integration.test_db import kill


def test_a_later_part_may_wait_less_long(db: Database, other: Database) -> None:
    """``lock_timeout`` holds for a part, too; what was done before it stays."""
    name, mine = account(db), account(db)

    def holding(tx: Tx) -> list[object]:
        add(name)(tx)

        def request() -> None:
            with db.holding(claim) as request:
                db.transaction(add(mine))
                with pytest.raises(LockTimeout):
                    db.transaction(add(name), lock_timeout="50ms")
                db.settle(held(request.tx))

        return together(request)

    assert [None] == other.transaction(holding)
    assert (1, 1) == (balance(db, name), balance(db, mine))


def test_a_connection_lost_while_holding_is_unavailable(db: Database) -> None:
    """Every later use says so, settling included: nothing goes on by another connection."""
    name = account(db)
    with db.holding(claim) as holding:
        db.transaction(add(name))
        kill(db)
        for _ in range(2):
            with pytest.raises(Unavailable):
                db.transaction(add(name))
            with pytest.raises(Unavailable):
                balance(db, name)
        with pytest.raises(Unavailable):
            db.settle(held(holding.tx))
    assert 0 == balance(db, name)


def test_the_first_transaction_runs_again_when_it_must(db: Database, other: Database) -> None:
    """A serialization failure there is mended as ever, claim included; later it is Contention."""
    name, late = account(db), account(db)
    claims: list[int] = []
    runs: list[int] = []

    def counted(tx: Tx) -> None:
        claims.append(tx.run("select 1"))

    def work(tx: Tx) -> None:
        if not runs:
            together(lambda: other.transaction(add(name)))
        runs.append(tx.run("select 1"))
        add(name)(tx)

    with db.holding(counted) as holding:
        db.transaction(work)
        assert (2, 2) == (len(claims), len(runs))
        together(lambda: other.transaction(add(late)))
        with pytest.raises(Contention):
            db.transaction(add(late))
        db.settle(held(holding.tx))
    assert (2, 1) == (balance(db, name), balance(db, late))


def test_a_serialization_failure_at_the_held_commit_is_contention(db: Database) -> None:
    """Two requests that each read what the other writes: one commits, the other is told 503."""
    names = [account(db), account(db)]
    level: Isolation = "SERIALIZABLE"

    def cross(at: int) -> Callable[[Tx], int]:
        def work(tx: Tx) -> int:
            tx.one("select balance from account where id = :id", id=names[1 - at])
            return add(names[at])(tx)

        return work

    def request() -> None:
        with db.holding(claim) as holding:
            db.transaction(cross(0), isolation=level)
            together(lambda: db.transaction(cross(1), isolation=level))
            db.settle(held(holding.tx))

    with pytest.raises(Contention):
        request()
    assert [0, 1] == [balance(db, name) for name in names]
