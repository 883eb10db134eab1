"""Projections made anew: beside the live side, without downtime, and to prove it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from shared.db import Contention, Database, Tx
from shared.eventstore import Recorded, Stream
from shared.leases import LeaseLost, release, take
from shared.projection import Projection, Projector, Side
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


@pytest.fixture
def url(kit_db: Callable[[], str]) -> str:
    """A database with nothing applied yet."""
    made = kit_db()
    tables(made)
    return made


@pytest.fixture
def world(url: str) -> Visits:
    """The read model in it."""
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
        found += Rebuild(world.projector, 50).check()
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
            over.wait(20)

        world.db.transaction(work, isolation="READ COMMITTED")
        world.db.close()

    older = threading.Thread(target=holds_back)

    def db() -> Database:
        nonlocal steps
        steps += 1
        if steps == step:
            world.append(visitor(last), Came(name="Ion"))
            older.start()
            ready.wait(20)
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


def test_who_was_erased_is_not_rebuilt(world: Visits) -> None:
    """After an erasure neither side has anything of the person, and the check agrees."""
    ana, ion = world.came(2, follow=True)
    world.projector.rebuild()
    world.erase(ana)
    assert [] == world.projector.check()
    world.projector.rebuild()
    assert {ion: 1} == world.counts()
    left = world.db.all("select person_id from visits_a union select person_id from visits_b")
    assert [ion] == [row["person_id"] for row in left]


def test_every_kind_of_difference_is_found(world: Visits) -> None:
    """A changed, a removed and an added row are named by their key, never by what they say."""
    ana, ion, eva = world.came(3, follow=True)
    stranger = uuid4()
    world.db.all("update visits_a set came = 9, name = 'X' where person_id = :id", id=ana)
    world.db.all("delete from visits_a where person_id = :id", id=ion)
    world.db.all("insert into visits_a values (:id, 'Ilse', 1, 0)", id=stranger)
    world.db.all("delete from order_a where id = :id", id=eva)
    expected = {
        Difference("visits", _key(ana), "changed", ("came", "name")),
        Difference("visits", _key(ion), "missing"),
        Difference("visits", _key(stranger), "surplus"),
        Difference("order", json.dumps({"id": str(eva), "version": 1}), "missing"),
    }
    assert expected == set(world.projector.check())
    assert [("a", True), ("b", False)] == world.sides()
    world.projector.rebuild()
    assert [] == world.projector.check()


def _key(person: UUID) -> str:
    return json.dumps({"person_id": str(person)})


def test_an_event_that_was_skipped_shows(world: Visits) -> None:
    """A live side whose place is ahead of what it applied differs from the rebuilt one."""
    ana, ion = world.came(2)
    world.db.all("delete from projections")
    world.projector.register()
    cursor = world.db.all("select epoch, tx::text as tx, pos from events order by pos limit 1")[0]
    world.db.all(
        "update projections set epoch = :epoch, tx = :tx::text::xid8, pos = :pos where live",
        **cursor,
    )
    assert 1 == world.projector.run()
    assert {ion: 1} == world.counts()
    assert Difference("visits", _key(ana), "missing") in world.projector.check()


def test_a_check_goes_as_far_as_the_live_side(world: Visits) -> None:
    """Events that nobody has applied yet are no difference, also of another projection's."""
    world.came(3)
    world.projector.run(limit=2, budget_s=0)
    assert [] == Rebuild(world.projector, 1).check()
    assert [] == world.projector.check()
    assert 1 == world.projector.run()


def test_a_projection_of_other_events_can_be_compared(world: Visits) -> None:
    """When a projection is made from fewer streams than before, the check ends and says so."""
    [ana] = world.came(follow=True)
    world.append(Stream("chair", uuid4()), Left())
    narrowed = Projection("visits", ["chair"], apply, ["visits"])
    found = Projector(lambda: world.db, world.store, narrowed).check()
    assert [Difference("visits", _key(ana), "surplus")] == found


def test_a_live_side_that_never_rests_cannot_be_compared(world: Visits) -> None:
    """If it moves on each time both were at one place, the check gives up and says so."""
    [ana] = world.came(follow=True)
    version, asked = 1, 0

    def db() -> Database:
        nonlocal version, asked
        asked += 1
        if asked > 3:
            world.append(visitor(ana), Left(), expected=version, follow=True)
            version += 1
        return world.db

    restless = Projector(db, world.store, world.projector.projection)
    with pytest.raises(Contention):
        restless.check()
    assert {ana: 1} == world.counts()


def test_rows_need_a_name(world: Visits) -> None:
    """A table without a primary key cannot be compared row by row."""
    owner = Database(world.url.replace("kit_t:runtime@", "kit_t_owner:owner@"))
    owner.all("alter table visits_a drop constraint visits_a_pkey")
    owner.close()
    with pytest.raises(ValueError, match="visits_a needs a primary key"):
        world.projector.check()
