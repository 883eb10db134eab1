"""The outbox under faults: stalls, deaths, zombies and sweepers, all at once."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from shared import outbox as module
from shared import outbox_sql
from shared.db import Database, Isolation, Pending, Row, Tx
from shared.errors import Unavailable
from shared.outbox import Leased, Outbox
from shared.wire import Statement
from tests.integration.outbox_stack import FaultyBus, aggregates, database, tick

LEASE_S = 0.8
WRITERS, SWEEPERS, KEYS = 8, 3, 5
PATIENCE_S = 60.0  # for a machine that is busy with something else


class Timed(Outbox):
    """An outbox that notes which rows it sent when its lease on them may have been over: those of
    zombies, and of whoever the machine let wait."""

    def __init__(self, bus: FaultyBus) -> None:
        super().__init__("kit", bus)
        self.late: set[tuple[str, int]] = set()
        self._asked = 0.0

    @property
    def _database(self) -> Database:
        self._asked = time.monotonic()
        return super()._database

    def write(self, tx: Tx, pending: list[Pending], *before: Statement) -> Leased:
        """Insert; the lease cannot have begun earlier than this."""
        asked = time.monotonic()
        leased = super().write(tx, pending, *before)
        self._asked = asked
        return leased

    def _send(self, rows: list[Row]) -> None:
        asked = self._asked
        super()._send(rows)
        if time.monotonic() - asked >= LEASE_S:
            read = (json.loads(row["envelope"])["payload"] for row in rows)
            self.late |= {(payload["thing"], payload["n"]) for payload in read}


def race(
    url: str,
    bus: FaultyBus,
    seed: int,
    seconds: float,
    isolation: Isolation,
    *,
    late: set[tuple[str, int]] | None = None,
) -> dict[str, int]:
    """Writers and sweepers on one database, until there was a zombie if ``late`` is given, to which
    go the rows that were sent late; how often each thing changed."""
    changes: dict[str, int] = {}
    lock = threading.Lock()
    began = time.monotonic()
    boxes: list[Timed] = []
    failures: list[Exception] = []

    def goes_on() -> bool:
        missing = late is not None and not bus.zombies
        return time.monotonic() < began + (PATIENCE_S if missing else seconds)

    def made() -> Timed:
        boxes.append(Timed(bus))
        return boxes[-1]

    def write(number: int) -> None:
        dice = random.Random(seed * 100 + number)
        with database(url, made()) as db:
            while goes_on():
                key = f"thing-{dice.randrange(KEYS)}"
                try:
                    n = tick(db, key, isolation=isolation)
                except Unavailable:
                    continue  # too much contention: nothing was emitted
                except Exception as error:
                    failures.append(error)
                    raise
                with lock:
                    changes[key] = max(changes.get(key, 0), n)
                time.sleep(dice.random() * 0.004)

    def sweep() -> None:
        box = made()
        with database(url, box):
            while goes_on():
                # When this sweeper dies the next one starts.
                with suppress(RuntimeError):
                    box.sweep(budget_s=0.2)
                time.sleep(0.02)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    threads += [threading.Thread(target=sweep) for _ in range(SWEEPERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failures
    bus.calm = True
    box = made()
    with database(url, box) as db:
        end = time.monotonic() + PATIENCE_S
        while box.backlog()["rows"]:
            assert time.monotonic() < end, "the backlog does not drain"
            box.sweep()
            time.sleep(0.05)
        db.all("delete from thing")
    if late is not None:
        late.update(*(box.late for box in boxes))
    return changes


@pytest.fixture(scope="module")
def url(kit_db: Callable[[], str]) -> str:
    """One database for this module."""
    made = kit_db()
    aggregates(made)
    return made


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that end within the test, and runs short enough to be cut."""
    for name, value in {
        "WRITER_LEASE_S": LEASE_S,
        "SWEEPER_LEASE_S": LEASE_S,
        "_MARGIN_S": 0.1,
        "_AWAY_PAUSE_S": 0.05,
        "_KEYS": 3,
        "_ROWS": 12,
    }.items():
        monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_faults_neither_reorder_nor_lose(
    url: str, isolation: Isolation, capsys: pytest.CaptureFixture[str]
) -> None:
    """First occurrences are in order and complete per key; only what is sent when the lease is over
    comes twice."""
    bus, late = FaultyBus(seed=7, lease_s=LEASE_S), set[tuple[str, int]]()
    changes = race(url, bus, 7, 3.0, isolation, late=late)
    firsts = bus.first_occurrences()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{isolation}: {sum(changes.values())} rows, {len(bus.zombies)} in zombies' hands,"
            f" {len(bus.duplicates())} published twice\n"
        )
    assert {key: list(range(1, n + 1)) for key, n in changes.items()} == firsts
    assert bus.duplicates() <= late
    assert bus.zombies, "no zombie was made: the race proves too little"


def test_without_the_head_check_the_race_reorders(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: with every row leased to its writer, the same race does not keep the order."""
    for name in ("INSERT", "INSERT_ONE"):
        checked: str = getattr(outbox_sql, name)
        start, end = checked.index("exists ("), checked.index("then '-inf")
        monkeypatch.setattr(outbox_sql, name, checked[:start] + "false " + checked[end:])
    for seed in range(60):
        bus = FaultyBus(seed, LEASE_S)
        changes = race(url, bus, seed, 1.0, "READ COMMITTED")
        ordered = {key: list(range(1, n + 1)) for key, n in changes.items()}
        if bus.first_occurrences() != ordered:
            assert {k: sorted(v) for k, v in bus.first_occurrences().items()} == ordered
            return
    pytest.fail("nothing was reordered: the race would not notice a missing head check")


def test_dead_sweepers_are_succeeded(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweeper that dies with a claim holds its keys for one lease only."""
    monkeypatch.setattr(module, "SWEEPER_LEASE_S", 3600)
    bus = FaultyBus(seed=1, lease_s=LEASE_S, death=1.0)
    box = Outbox("kit", bus)
    with database(url, box) as db:
        tick(db, "x")
        db.all("update outbox set lease_until = '-infinity'")
        with pytest.raises(RuntimeError):
            box.sweep()
        bus.calm = True
        assert 0 == box.sweep()
        db.all("update outbox set lease_until = lease_until - interval '3600 seconds'")
        assert 1 == box.sweep()
    assert isinstance(db, Database)
    assert [("x", 1)] == bus.sent
