"""Projections made anew: beside the live side, without downtime, and to prove it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import pytest

from shared.db import Contention, Database, Tx
from shared.eventstore import Recorded
from shared.leases import LeaseLost, release, take
from shared.projection import Projector, Side
from shared.projection_rebuild import Busy, Difference, Rebuild
from tests.integration.db_stack import together
from tests.projection_stack import (
    Came,
    Left,
    Visits,
    apply,
    in_order,
    tables,
    visitor,
    visits,
)


@pytest.fixture(scope="module")
def url(kit_db: Callable[[], str]) -> str:
    """One database for all."""
    return kit_db()


@pytest.fixture
def world(url: str) -> Visits:
    """The read model in it, with no events yet."""
    tables(url)
    return visits(url)


def loudly(tx: Tx, event: Recorded, table: Side) -> None:
    """The projection as its next version computes it."""
    apply(tx, event, table)
    tx.run(f"update {table} set name = upper(name) where person_id = :id", id=event.person_id)


def test_a_rebuilt_side_takes_over(world: Visits) -> None:
    """The other side is filled by the code of today, then it is the live one; and back again."""
    [ana] = world.came(times=2, follow=True)
    later = visits(world.url, loudly)
    assert 2 == later.projector.rebuild()
    assert [("a", False), ("b", True)] == world.sides()
    assert ["ANA 0"] == [row["name"] for row in world.rows()]
    world.append(visitor(ana), Left(), expected=2)
    assert 1 == later.projector.run()
    assert 3 == world.projector.rebuild()
    assert [("a", True), ("b", False)] == world.sides()
    assert [("Ana 0", 2, 1)] == [(row["name"], row["came"], row["gone"]) for row in world.rows()]


@pytest.mark.parametrize("limit", [1, 4, 6, 7])
def test_portions_join_without_a_seam(world: Visits, limit: int) -> None:
    """However many events a transaction takes, the rebuilt side has each once, in their order."""
    world.came(3, times=2)
    assert 6 == Rebuild(world.projector, limit).rebuild()
    assert (6, True) == (len(world.applied()), in_order(world.applied()))


def test_nothing_was_ever_appended(world: Visits) -> None:
    """A projection without events can be rebuilt and checked, too."""
    assert (0, []) == (world.projector.rebuild(), world.projector.check())


def test_readers_notice_nothing(world: Visits) -> None:
    """While sides change again and again, every reader finds every row; in a snapshot, too."""
    people = world.came(20, follow=True)
    over = threading.Event()

    def reads() -> set[int]:
        seen = set()
        while not over.is_set():
            seen.add(len(world.rows()))
        world.db.close()
        return seen

    def reads_by_name() -> set[int]:
        def look(tx: Tx) -> int:
            table = world.projector.table(tx)
            return len(tx.all(f"select from {table}"))

        seen = set()
        while not over.is_set():
            seen.add(world.db.transaction(look))
        world.db.close()
        return seen

    found: list[object] = []
    readers = threading.Thread(target=lambda: found.extend(together(reads, reads_by_name, reads)))
    readers.start()
    for _ in range(10):
        Rebuild(world.projector, 7).rebuild()
    over.set()
    readers.join()
    assert [{len(people)}] * 3 == found


def test_an_older_snapshot_keeps_its_side(world: Visits) -> None:
    """Who has begun to read a side goes on reading it when it is emptied and filled anew."""
    world.came(3, follow=True)

    def look(tx: Tx) -> int:
        table = world.projector.table(tx)
        together(world.projector.rebuild)
        together(world.projector.rebuild)
        return len(tx.all(f"select from {table}"))

    assert 3 == world.db.transaction(look)


def test_life_goes_on_meanwhile(world: Visits) -> None:
    """Events that are appended and applied during rebuilds and checks are applied once, in order,
    on whichever side; and every check finds both sides alike."""
    over = threading.Event()

    def appends() -> int:
        streams = [visitor(uuid4()) for _ in range(3)]
        version = 0
        while not over.is_set() and version < 80:
            for stream in streams:
                world.append(stream, Came(name="Ana"), expected=version, follow=True)
            version += 1
        world.db.close()
        return 3 * version

    made: list[object] = []
    traffic = threading.Thread(target=lambda: made.extend(together(*[appends] * 3)))
    traffic.start()
    found = []
    for _ in range(2):
        Rebuild(world.projector, 50).rebuild()
        found += _checked(world)
    over.set()
    traffic.join()
    world.projector.run()
    assert [] == found
    assert [int] * 3 == [type(result) for result in made]
    assert (sum(map(int, map(str, made))), True) == (
        len(world.applied()),
        in_order(world.applied()),
    )
    assert [] == world.projector.check()


def _checked(world: Visits) -> list[Difference]:
    """What a check finds as soon as the live side rests for a moment."""
    while True:
        with suppress(Contention):
            return Rebuild(world.projector, 50).check()


@pytest.mark.parametrize("events", [1, 2, 3])
def test_it_never_takes_over_behind_the_live_side(world: Visits, events: int) -> None:
    """What the live side applied before each step, also the last one, is there afterwards: nobody
    who reads goes back in time."""
    world.came(4, follow=True)
    steps = 0

    def db() -> Database:
        nonlocal steps
        steps += 1
        if 4 < steps < 14:
            world.came(events, follow=True)
        return world.db

    overtaken = Rebuild(Projector(db, world.store, world.projector.projection), 2)
    overtaken.rebuild()
    assert ([("a", False), ("b", True)], True) == (world.sides(), steps > 5)
    assert world.db.all("select count(*) as n from events") == [{"n": len(world.applied())}]
    assert True is in_order(world.applied())


@pytest.mark.parametrize("step", [4, 5], ids=["before filling", "before taking over"])
def test_the_live_side_holds_still_while_it_is_replaced(world: Visits, step: int) -> None:
    """What an older transaction releases while the other side takes over is applied before that or
    after it, never to the side that stands down."""
    world.came(2, follow=True)
    other, late, last = visits(world.url), uuid4(), uuid4()
    ready, over = threading.Event(), threading.Event()
    steps, applied = 0, list[int]()

    def holds_back() -> None:
        def work(tx: Tx) -> None:
            world.store.append(tx, visitor(late), [Came(name="Eva")], expected=0)
            ready.set()
            over.wait(25)

        world.db.transaction(work, isolation="READ COMMITTED")
        world.db.close()

    older = threading.Thread(target=holds_back)

    def db() -> Database:
        nonlocal steps
        steps += 1
        if steps == step:
            world.append(visitor(last), Came(name="Ion"))
            older.start()
            ready.wait(60)
        return world.db

    def releases(tx: Tx, event: Recorded, table: Side) -> None:
        if event.id == last:
            over.set()
            older.join()
            applied.append(other.projector.run())
        apply(tx, event, table)

    projection = replace(world.projector.projection, apply=releases)
    Rebuild(Projector(db, world.store, projection), 50).rebuild()
    seen = {row["person_id"] for row in world.rows()}
    assert (1, True) == (len(applied), last in seen)
    # If the live side has shown it once, it stays.
    assert (sum(applied) > 0) <= (late in seen)
    world.projector.run()
    assert (4, True) == (len(world.applied()), in_order(world.applied()))


def test_one_at_a_time(world: Visits) -> None:
    """Who finds another at it is told so, and nothing happens; afterwards it can be done."""
    world.came(2, follow=True)
    lease = take(world.db, "projection visits", 60)
    assert lease is not None
    for what in (world.projector.rebuild, world.projector.check):
        with pytest.raises(Busy):
            what()
    assert [("a", True), ("b", False)] == world.sides()
    release(world.db, lease)
    assert (2, []) == (world.projector.rebuild(), world.projector.check())


def test_many_at_once_do_it_one_after_the_other(world: Visits) -> None:
    """Of eight rebuilds at once those that may do the whole work, the others nothing."""
    world.came(30, follow=True)
    results = together(*[lambda: Rebuild(world.projector, 4).rebuild()] * 8)
    done = [result for result in results if result == 30]
    refused = [result for result in results if isinstance(result, Busy)]
    assert (True, 8) == (len(done) > 0, len(done) + len(refused))
    assert (30, True) == (len(world.applied()), in_order(world.applied()))
    assert [False, True] == sorted(live for _, live in world.sides())


@pytest.mark.parametrize("what", ["rebuild", "check"])
@pytest.mark.parametrize("step", [4, 5, 6, 7])
def test_one_who_comes_back_late_changes_nothing(world: Visits, what: str, step: int) -> None:
    """Between any two steps another takes over and finishes: the first ends without effect."""
    world.came(6, follow=True)
    passed = 0

    def db() -> Database:
        nonlocal passed
        passed += 1
        if passed == step:
            world.db.all("update leases set lease_until = clock_timestamp()")
            Rebuild(world.projector, 2).rebuild()
        return world.db

    late = Rebuild(Projector(db, world.store, world.projector.projection), 2)
    with pytest.raises(LeaseLost):
        getattr(late, what)()
    assert [("a", False), ("b", True)] == world.sides()
    assert (6, True) == (len(world.applied()), in_order(world.applied()))
    assert [] == world.projector.check()
