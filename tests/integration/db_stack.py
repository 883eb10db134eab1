"""Accounts to change, and threads that meet half-way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from shared.db import (
    Database,
)

__all__ = ["Meeting", "account", "balance", "together"]


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
        thread.join(120)
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
            self._barrier.wait(60)
