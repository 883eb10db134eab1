"""A backlog of the outbox: drained in order, at speed, by any number of sweepers."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.bus import BusUnavailable
from shared.db import Database
from shared.outbox import Outbox
from tests.integration.outbox_stack import (
    RecordingBus,
    aggregates,
    backlog,
    database,
    sweeper,
    waiting,
)


@pytest.fixture(scope="module")
def url(kit_db: Callable[[], str]) -> str:
    """One database for this module."""
    made = kit_db()
    aggregates(made)
    return made


@pytest.fixture
def bus() -> RecordingBus:
    """A bus that remembers."""
    return RecordingBus()


@pytest.fixture
def db(url: str, bus: RecordingBus) -> Iterator[Database]:
    """A database with an ordinary outbox; empty."""
    with database(url, Outbox("kit", bus)) as made:
        made.all("delete from outbox")
        made.all("delete from thing")
        yield made


@pytest.mark.parametrize("keys", [1000, 1])
def test_a_backlog_drains_in_order(
    db: Database,
    bus: RecordingBus,
    keys: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred thousand rows, over many keys or one hot key, go out in order, each once."""
    rows = 100_000
    backlog(db, rows, keys)
    kept: list[Any] = []
    monkeypatch.setattr(bus, "record", kept.extend)
    start = time.monotonic()
    sent = sweeper(db).sweep(budget_s=600)
    took = time.monotonic() - start
    with capsys.disabled():
        sys.stdout.write(f"\n{rows:,} rows over {keys:,} keys: {rows / took:,.0f} rows/s\n")
    assert (rows, 0) == (sent, waiting(db))
    monkeypatch.undo()
    bus.record(kept)
    last: dict[str, int] = {}
    for key, n in bus.sent:
        assert last.get(key, 0) + 1 == n
        last[key] = n
    assert {rows // keys} == set(last.values())


def test_two_sweepers_share_the_work(url: str, db: Database) -> None:
    """Sweepers at once publish each row once, in order, and nothing is left."""
    rows, keys = 20_000, 300
    backlog(db, rows, keys)
    bus = RecordingBus()
    counts: list[int] = []

    def sweep() -> None:
        with database(url, Outbox("kit", bus)) as mine:
            counts.append(sweeper(mine).sweep(budget_s=600))

    threads = [threading.Thread(target=sweep) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (rows, rows) == (sum(counts), len(bus.sent))
    last: dict[str, int] = {}
    for key, n in bus.sent:
        assert last.get(key, 0) + 1 == n
        last[key] = n
    assert 0 == waiting(db)


def test_a_row_the_bus_refuses_is_tried_later_and_later(
    db: Database, bus: RecordingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed run is given back at once, with a pause that grows with its attempts."""
    backlog(db, rows=3, keys=1)
    bus.away = True
    for pause in (0.5, 1, 2):
        before = _moment(db, "clock_timestamp()")
        with pytest.raises(BusUnavailable):
            sweeper(db).sweep()
        free = _moment(db, "max(lease_until) from outbox")
        after = _moment(db, "clock_timestamp()")
        assert free - after <= timedelta(seconds=pause) <= free - before
        db.all("update outbox set lease_until = '-infinity'")


def _moment(db: Database, what: str) -> datetime:
    found: datetime = db.all(f"select {what}")[0].popitem()[1]
    return found
