"""The outbox: what is committed is published, in order per key, whoever dies or sleeps."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared import outbox as module
from shared.db import Database, Tx
from shared.outbox import Outbox
from tests.integration.bus_stack import until
from tests.integration.outbox_stack import (
    Deferred,
    RecordingBus,
    Ticked,
    aggregates,
    backlog,
    database,
    sweeper,
    tick,
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
def box(bus: RecordingBus) -> Deferred:
    """An outbox that publishes when the test says so."""
    return Deferred("kit", bus)


@pytest.fixture
def deferred(url: str, box: Deferred) -> Iterator[Database]:
    """A database with ``box``; empty."""
    with database(url, box) as db:
        db.all("delete from outbox")
        db.all("delete from thing")
        yield db


@pytest.fixture
def db(url: str, bus: RecordingBus) -> Iterator[Database]:
    """A database with an ordinary outbox; empty."""
    with database(url, Outbox("kit", bus)) as made:
        made.all("delete from outbox")
        made.all("delete from thing")
        yield made


def test_what_commits_is_published_in_order(db: Database, bus: RecordingBus) -> None:
    """The messages of a transaction go out after its commit, in order, and leave no row."""
    seen: list[int] = []

    def work(tx: Tx) -> None:
        for n in range(1, 6):
            tx.emit(Ticked(thing="a", n=n))
            tx.emit(Ticked(thing="b", n=n))
        seen.append(len(bus.sent))

    db.transaction(work)
    assert [0] == seen
    assert [(key, n) for n in range(1, 6) for key in "ab"] == bus.sent
    assert (0, 1) == (waiting(db), bus.calls)


def test_thousands_of_messages_of_one_transaction_keep_their_order(
    db: Database, bus: RecordingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are numbered as they were emitted."""
    monkeypatch.setattr(module, "WRITER_LEASE_S", 3600)

    def work(tx: Tx) -> None:
        for n in range(5000):
            tx.emit(Ticked(thing="many", n=n))

    db.transaction(work)
    assert [("many", n) for n in range(5000)] == bus.sent


def test_a_rollback_publishes_nothing(db: Database, bus: RecordingBus) -> None:
    """No commit, no message."""

    def fail(tx: Tx) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        tick(db, "a", then=fail)
    assert ([], 0) == (bus.sent, waiting(db))


def test_a_message_too_large_for_a_broker_does_not_commit(db: Database, bus: RecordingBus) -> None:
    """What could never be published is refused while the caller can still hear of it."""
    with pytest.raises(ValueError, match="too large"):
        db.transaction(lambda tx: tx.emit(Ticked(thing="ț" * 600_000, n=1), key="k"))
    with pytest.raises(ValueError, match="aggregate_id") as refused:
        db.transaction(lambda tx: tx.emit(Ticked(thing="x" * 257, n=1)))
    assert "xxx" not in str(refused.value)
    assert ([], 0) == (bus.sent, waiting(db))


def test_attributes_come_from_the_stored_text(
    db: Database, bus: RecordingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker sees the attributes, the key and the text of the envelope."""
    seen: list[Any] = []
    monkeypatch.setattr(bus, "record", seen.extend)
    tick(db, "a")
    (message,) = seen
    assert "a" == message.ordering_key
    assert {"event_type", "schema_version", "correlation_id"} == set(message.attributes())
    assert "TICKED" == message.attributes()["event_type"]


def test_a_request_succeeds_while_the_bus_is_away(
    db: Database, bus: RecordingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its messages wait, and go out in order once the bus is back."""
    monkeypatch.setattr(module, "_AWAY_PAUSE_S", 3600)
    bus.away = True
    assert [1, 2, 3] == [tick(db, "a") for _ in range(3)]
    tick(db, "b")
    assert (1, 4) == (bus.calls, waiting(db)), "a bus known to be away is not asked each time"
    time.sleep(0.3)  # what was refused is tried again the later, the more often it was
    sweeper(db)._away_until = 0
    bus.away = False
    assert 4 == sweeper(db).sweep()
    assert ([("a", 1), ("a", 2), ("a", 3), ("b", 1)], 0) == (sorted(bus.sent), waiting(db))


def test_the_next_writer_takes_the_backlog_of_its_key_along(
    db: Database, bus: RecordingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any sweep, traffic of a key sends what waits before it."""
    monkeypatch.setattr(module, "_AWAY_PAUSE_S", 0.05)
    bus.away = True
    for _ in range(3):
        tick(db, "a")
    bus.away = False
    # What was refused is tried again the later, the more often it was.
    held = "select from outbox where lease_until >= clock_timestamp()"
    until(lambda: time.monotonic() > sweeper(db)._away_until and not db.all(held))
    tick(db, "a")
    assert ([("a", n) for n in range(1, 5)], 0) == (bus.sent, waiting(db))


def test_after_a_crash_the_sweeper_waits_for_the_lease(
    db: Database, bus: RecordingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that died between commit and publish is succeeded when its lease is over."""
    monkeypatch.setattr(module, "WRITER_LEASE_S", 3600)
    bus.die = True
    assert 1 == tick(db, "a")
    bus.die = False
    assert (0, 1) == (sweeper(db).sweep(), waiting(db))
    db.all("update outbox set lease_until = lease_until - interval '3600 seconds'")
    assert (1, 0) == (sweeper(db).sweep(), waiting(db))
    assert [("a", 1)] == bus.sent


def test_a_writer_behind_another_does_not_publish(
    deferred: Database, box: Deferred, bus: RecordingBus
) -> None:
    """Only who is first of a key publishes; it then sends what gathered behind it."""
    tick(deferred, "a")
    tick(deferred, "a")
    tick(deferred, "b")
    box.release(1)
    assert [] == bus.sent
    box.release(0)
    assert [("a", 1), ("a", 2)] == bus.sent
    box.release(0)
    assert ([("a", 1), ("a", 2), ("b", 1)], 0) == (bus.sent, waiting(deferred))


def test_a_late_writer_leaves_its_rows_to_others(
    deferred: Database, box: Deferred, bus: RecordingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer whose lease is nearly over publishes nothing."""
    monkeypatch.setattr(module, "WRITER_LEASE_S", 0.2)
    monkeypatch.setattr(module, "_MARGIN_S", 0.1)
    tick(deferred, "a")
    time.sleep(0.12)
    box.release()
    assert ([], 1) == (bus.sent, waiting(deferred))


def test_traffic_mends_a_crash_before_the_schedule_does(
    db: Database, bus: RecordingBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Now and then a request also sweeps a little."""
    backlog(db, rows=50, keys=5)
    box = sweeper(db)
    box._next_sweep = time.monotonic() + 3600
    tick(db, "a")
    assert 50 == waiting(db), "not on every request"
    box._next_sweep = 0.0
    tick(db, "a")
    assert 0 == waiting(db)


def locks_without_changing(db: Database, isolation: Any) -> None:
    """Two writers lock one row in turn, change nothing, and emit 1 and 2."""
    db.all("insert into thing values ('a', 0) on conflict do nothing")
    lock = "select n from thing where id = 'a' for update"
    blocked = "select count(*) from pg_locks where pg_backend_pid() = any(pg_blocking_pids(pid))"
    waits = threading.Event()

    def second() -> None:
        def work(tx: Tx) -> None:
            waits.set()
            tx.value(lock)
            tx.emit(Ticked(thing="a", n=2))

        db.transaction(work, isolation=isolation)
        db.close()

    other = threading.Thread(target=second)

    def first(tx: Tx) -> None:
        tx.value(lock)
        other.start()
        waits.wait()
        # Now the other has its snapshot. pg_locks is read anew by each statement.
        until(lambda: tx.value(blocked) > 0)
        tx.emit(Ticked(thing="a", n=1))

    db.transaction(first, isolation=isolation)
    other.join()


@pytest.mark.parametrize(
    ("isolation", "order"), [("READ COMMITTED", [1, 2]), ("REPEATABLE READ", [2, 1])]
)
def test_under_repeatable_read_a_lock_alone_does_not_order(
    deferred: Database, box: Deferred, bus: RecordingBus, isolation: str, order: list[int]
) -> None:
    """Why emitting demands to *change* the locked row: an old snapshot hides the row ahead."""
    locks_without_changing(deferred, isolation)
    # Who has a lease, oldest row first: which of the two threads came back first is chance.
    box.held.sort(key=lambda leased: [row["id"] for row in leased.rows] or [math.inf])
    box.release(1)
    box.release(0)
    assert order == [n for _, n in bus.sent]
