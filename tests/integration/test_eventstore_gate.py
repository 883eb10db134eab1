"""Reading all events: nothing is passed over that may still commit, also after a restore."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from infra.local import postgres
from shared import log
from shared.db import Database, Tx
from shared.errors import Unavailable
from shared.event_gate import Gate, bump_epoch, gate, gate_job
from shared.eventstore import START, Cursor, Recorded, Stream
from tests.eventstore_stack import ChairMoved, Moved, World, world
from tests.integration.db_stack import together


@pytest.fixture
def store(kit_db: Callable[[], str]) -> World:
    """A database of its own: its order is looked at as a whole."""
    return world(kit_db())


def _rooms(events: list[Recorded]) -> list[int]:
    return [event.fact.room for event in events]


def _apart(store: World, work: Callable[[Tx], object]) -> object:
    """``work`` in a transaction of another thread, while this one's is open."""
    found = together(lambda: store.db.transaction(work, isolation="READ COMMITTED"))[0]
    if isinstance(found, Exception):
        raise found
    return found


def test_pages_follow_one_another(store: World) -> None:
    """Page after page gives every event once, in the order of commits, streams in theirs."""
    first, second = store.stream("chair"), store.stream("desk")
    store.append(first, ChairMoved(room=1), ChairMoved(room=2))
    store.append(second, ChairMoved(room=3))
    store.append(first, ChairMoved(room=4), expected=2)
    pages, after = [], START
    while page := store.read(after, limit=2):
        pages.append(_rooms(page))
        after = page[-1].cursor
    assert [[1, 2], [3, 4]] == pages
    for page_of, categories in (([1, 2, 4], ["chair"]), ([1, 2, 3, 4], ["desk", "chair", "desk"])):
        found = store.read(categories=categories)
        assert page_of == _rooms(found)
    assert [] == store.read(categories=["lamp"])
    assert [3, 4] == _rooms(
        store.read(Cursor.parse(str(found[1].cursor)), categories=["chair", "desk"])
    )


def test_an_open_transaction_is_waited_for(store: World) -> None:
    """Who appended first and commits last is not passed over; the naive cursor does so."""
    late, early = store.stream("chair"), store.stream("chair")

    def work(tx: Tx) -> tuple[list[Recorded], int]:
        store.store.append(tx, late, [ChairMoved(room=1)], expected=0)
        _apart(store, lambda t: store.store.append(t, early, [ChairMoved(room=2)], expected=0))
        gated = together(lambda: store.store.read_all(store.db, START, limit=9))[0]
        naive = together(lambda: store.db.one("select max(pos) as last from events"))[0]
        return gated, naive["last"]  # type: ignore[return-value, index]

    gated, last = store.db.transaction(work)
    assert [] == gated
    assert [1, 2] == _rooms(store.read())
    naive = store.db.all("select pos from events where pos > :last", last=last)
    assert [] == naive, "the positive control: the first event is lost to it"


def test_a_transaction_in_another_database_holds_it_back_too(
    store: World, kit_db: Callable[[], str]
) -> None:
    """Transaction ids are the instance's, and so is the gate."""
    elsewhere = Database(kit_db())

    def work(tx: Tx) -> list[Recorded]:
        tx.value("select pg_current_xact_id()::text")
        store.append(store.stream("chair"), ChairMoved(room=1))
        return store.store.read_all(store.db, START, limit=9)

    assert [] == elsewhere.transaction(work)
    assert [1] == _rooms(store.read())


def test_savepoints_and_batches_keep_the_order(store: World) -> None:
    """What one transaction appends stays together, whatever it did in between."""
    first, second = store.stream("chair"), store.stream("chair")

    def work(tx: Tx) -> None:
        store.store.append(tx, first, [ChairMoved(room=1)], expected=0)
        tx.run("savepoint here")
        _apart(store, lambda t: store.store.append(t, second, [ChairMoved(room=9)], expected=0))
        store.store.append(tx, first, [ChairMoved(room=2), ChairMoved(room=3)], expected=1)
        tx.run("release savepoint here")

    store.db.transaction(work)
    assert [1, 2, 3, 9] == _rooms(store.read())


def test_erased_people_do_not_stop_the_reader(store: World) -> None:
    """Their events come without content, those of others with it, in one page."""
    streams = [store.stream() for _ in range(3)]
    for stream in streams:
        store.append(stream, Moved(town=str(stream.id)))
    assert streams[1].person is not None
    store.erase(streams[1].person)
    found = store.read()
    towns = [None if event.fact is None else event.fact.town for event in found]
    assert [str(streams[0].id), None, str(streams[2].id)] == towns
    assert [False, True, False] == [event.erased for event in found]


def _superuser(store: World, cluster: postgres.Cluster) -> Database:
    name = store.db.all("select current_database() as name")[0]["name"]
    return Database(postgres.database_url(cluster.socket_dir, "postgres", cluster.password, name))


def test_after_a_restore_a_new_epoch_comes_behind_everything(
    store: World, cluster: postgres.Cluster
) -> None:
    """Restored rows with transaction ids from the future are held back and reported; the new
    epoch shows them, and what is appended then comes behind them."""
    stream = store.stream("chair")
    store.append(stream, ChairMoved(room=1), ChairMoved(room=2))
    read = store.read()
    assert [1, 2] == _rooms(read)
    owner = _superuser(store, cluster)
    owner.all("update events set tx = '9000000000'")
    assert [] == store.read()
    assert gate(store.db)["restored"]
    assert 2 == store.db.transaction(bump_epoch)
    assert not gate(store.db)["restored"]
    restored = store.read()
    assert [1, 2] == _rooms(restored)
    store.append(stream, ChairMoved(room=3), expected=2)
    after = store.read(restored[-1].cursor)
    assert [(3, 2)] == [(event.fact.room, event.cursor.epoch) for event in after]
    assert after[0].cursor.tx < restored[-1].cursor.tx


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_an_old_snapshot_appends_to_the_new_epoch(store: World, isolation: str) -> None:
    """Who had begun before the epoch, and appends after it, does not write into the old one."""
    stream = store.stream("chair")

    def work(tx: Tx) -> None:
        tx.all("select 1 from service_keys")  # the snapshot
        assert 2 == _apart(store, bump_epoch)
        store.store.append(tx, stream, [ChairMoved(room=1)], expected=0)

    store.db.transaction(work, isolation=isolation)  # type: ignore[arg-type]
    found = store.read()
    assert [2] == [event.cursor.epoch for event in found]


def test_the_epoch_waits_for_appends_under_way(store: World) -> None:
    """It begins when every append of the old one has ended: its readers pass over none."""
    begun = threading.Event()
    order: list[str] = []

    def bump(tx: Tx) -> None:
        begun.set()
        bump_epoch(tx)
        order.append("bumped")

    def work(tx: Tx) -> threading.Thread:
        store.store.append(tx, store.stream("chair"), [ChairMoved(room=1)], expected=0)
        thread = threading.Thread(target=store.db.transaction, args=(bump,))
        thread.start()
        begun.wait(60)
        thread.join(0.2)
        order.append("appended")
        return thread

    store.db.transaction(work).join(60)
    assert ["appended", "bumped"] == order
    store.append(store.stream("chair"), ChairMoved(room=2))
    found = store.read()
    assert [(1, 1), (2, 2)] == [(event.fact.room, event.cursor.epoch) for event in found]


def test_the_gate_says_how_far_it_holds_back(store: World) -> None:
    """Nothing while nobody is in the way; the age of what waits while somebody is."""
    store.append(store.stream("chair"), ChairMoved(room=1))
    assert [1] == _rooms(store.read())
    free = gate(store.db)
    assert (0.0, False, 0, 0.0) == (
        free["stalled_s"],
        free["restored"],
        free["prepared"],
        free["prepared_age_s"],
    )

    def work(tx: Tx) -> Gate:
        tx.value("select pg_current_xact_id()::text")
        _apart(
            store,
            lambda t: store.store.append(
                t, Stream("c", store.stream().id), [ChairMoved(room=2)], expected=0
            ),
        )
        return together(lambda: gate(store.db))[0]  # type: ignore[return-value]

    held = store.db.transaction(work)
    assert held["stalled_s"] > 0
    assert held["xmin_lag"] >= 2
    assert [1, 2] == _rooms(store.read())


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What was logged as an error."""
    found: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(log, "error", lambda event, **facts: found.append((event, facts)))
    return found


def test_an_operator_hears_of_a_stall(
    store: World, cluster: postgres.Cluster, said: list[tuple[str, dict[str, Any]]]
) -> None:
    """After a minute behind the gate, and of a restore that was not announced, at once."""
    job = gate_job(lambda: store.db)
    assert ("event-gate", timedelta(minutes=1)) == (job.name, job.every)
    owner = _superuser(store, cluster)

    def work(tx: Tx) -> None:
        tx.value("select pg_current_xact_id()::text")
        _apart(
            store,
            lambda t: store.store.append(
                t, Stream("c", store.stream().id), [ChairMoved(room=1)], expected=0
            ),
        )
        together(job.run)
        owner.all("update events set recorded_at = recorded_at - interval '61 seconds'")
        together(job.run)

    store.db.transaction(work)
    assert ["event_gate_stalled"] == [event for event, _ in said]
    assert said[0][1]["stalled_s"] > 60
    store.read()  # waits until nobody is in the way any more
    job.run()
    owner.all("update events set tx = '9000000000'")
    job.run()
    assert ["event_gate_stalled", "event_epoch_not_bumped"] == [event for event, _ in said]


def test_a_forgotten_prepared_transaction_is_named(store: World) -> None:
    """It has no connection that could end: the gate counts it, tells its age, and stays shut."""
    store.db.all("begin; select pg_current_xact_id(); prepare transaction 'forgotten'")
    try:
        store.append(store.stream("chair"), ChairMoved(room=1))
        found = gate(store.db)
        seen = store.store.read_all(store.db, START, limit=9)
    finally:
        store.db.all("rollback prepared 'forgotten'")
    assert 1 == found["prepared"]
    assert 0 < found["prepared_age_s"]
    assert 0 < found["stalled_s"]
    assert [] == seen
    assert [1] == _rooms(store.read())


def test_nothing_is_appended_behind_the_future(store: World, cluster: postgres.Cluster) -> None:
    """After a restore that was not announced a restored stream takes nothing: its next fact would
    come before its last one. The new epoch lets it."""
    stream = store.stream("chair")
    store.append(stream, ChairMoved(room=1))
    _superuser(store, cluster).all("update events set tx = '9000000000'")
    with pytest.raises(Unavailable):
        store.append(stream, ChairMoved(room=2), expected=1)
    store.db.transaction(bump_epoch)
    assert 2 == store.append(stream, ChairMoved(room=2), expected=1)
    assert [1, 2] == _rooms(store.read())
