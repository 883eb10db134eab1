"""What tests of held commits share."""

from __future__ import annotations

from collections.abc import Callable

from shared.db import Tx

__all__ = ["add", "claim", "held"]


def claim(tx: Tx) -> None:
    """Nothing to claim here, but a statement as the real one is."""
    tx.run("select 1")


def add(name: str, amount: int = 1) -> Callable[[Tx], int]:
    """A transaction that changes an account."""
    sql = "update account set balance = balance + :amount where id = :id"
    return lambda tx: tx.run(sql, id=name, amount=amount)


def held(tx: Tx | None) -> Tx:
    """What is held, which must be something."""
    assert tx is not None
    return tx
