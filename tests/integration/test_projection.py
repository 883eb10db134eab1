"""Projections: every event applied once and in its order, by whoever is there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import uuid4

import pytest

from shared.db import Database, Tx
from shared.eventstore import Recorded, Stream
from shared.http import Api
from shared.projection import Projection, Projector, Side, catch_up, lags
from shared.runtime import Service
from shared.wire import Statement
from tests.integration.db_stack import together
from tests.projection_stack import (
    Came,
    Left,
    Visits,
    apply,
    held_up,
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


def _applied_everything(world: Visits) -> bool:
    events = world.db.all("select id, version from events order by tx, pos")
    return world.applied() == [(row["id"], row["version"]) for row in events]


def test_events_are_applied_once_and_in_their_order(world: Visits) -> None:
    """What was appended shows in the read model, and running again changes nothing."""
    ana, ion = world.came(2, times=2)
    world.append(visitor(ana), Left(), Came(name="Ana Pop"), expected=2)
    assert 6 == world.projector.run()
    assert 0 == world.projector.run()
    assert {(ana, "Ana Pop", 3, 1), (ion, "Ana 1", 2, 0)} == {
        (row["person_id"], row["name"], row["came"], row["gone"]) for row in world.rows()
    }
    assert [(ana, 1), (ana, 2), (ion, 1), (ion, 2), (ana, 3), (ana, 4)] == world.applied()


def test_another_process_goes_on_where_one_ended(world: Visits) -> None:
    """The place is in the database: whoever comes next begins behind it."""
    world.came(2)
    world.projector.run()
    [late] = world.came(1)
    other = visits(world.url)
    assert (1, (late, 1)) == (other.projector.run(), other.applied()[-1])


@pytest.mark.parametrize("limit", [1, 3, 4, 12, 500])
def test_portions_join_without_a_seam(world: Visits, limit: int) -> None:
    """However many events a transaction takes, none is missed or taken twice."""
    world.came(4, times=3)
    assert 12 == world.projector.run(limit)
    assert True is _applied_everything(world)


@pytest.mark.parametrize("limit", [1, 3, 500])
def test_statements_that_are_returned_are_run_in_their_order(world: Visits, limit: int) -> None:
    """Handed back instead of run, they take effect once and as if each had been run in its turn."""

    def returns(tx: Tx, event: Recorded, table: Side) -> list[Statement]:
        changed = f"update {table} set name = :name, came = came + 1 where person_id = :id"
        sql = changed if event.version > 1 else f"insert into {table} values (:id, :name, 1, 0)"
        name = f"{event.fact.name} {event.version}"
        return [Statement(sql, {"id": event.person_id, "name": name})]

    ana, ion = world.came(2, times=4)
    fast = visits(world.url, returns).projector
    assert (8, 0) == (fast.run(limit), fast.run(limit))
    assert {(ana, "Ana 0 4", 4), (ion, "Ana 1 4", 4)} == {
        (row["person_id"], row["name"], row["came"]) for row in world.rows()
    }
    assert [] == fast.check()


def test_a_run_ends_in_time(world: Visits) -> None:
    """When its time is over a run finishes its portion and leaves the rest to the next."""
    world.came(5)
    assert [2, 2, 1, 0] == [world.projector.run(limit=2, budget_s=0) for _ in range(4)]


def test_an_append_is_followed_at_once(world: Visits) -> None:
    """Who appends finds it in the read model as soon as the transaction has committed."""
    [ana] = world.came(follow=True)
    assert {ana: 1} == world.counts()


def test_nothing_is_followed_that_was_rolled_back(world: Visits) -> None:
    """A transaction that fails leaves neither an event nor a row."""

    def work(tx: Tx) -> None:
        world.projector.follow(tx)
        person = uuid4()
        world.store.append(tx, visitor(person), [Came(name="Ana")], expected=0)
        raise KeyError

    with pytest.raises(KeyError):
        world.db.transaction(work, isolation="READ COMMITTED")
    assert (0, {}) == (world.projector.run(), world.counts())


def test_what_an_older_transaction_holds_back_comes_later(world: Visits) -> None:
    """Behind an older open transaction nothing is applied, and nothing is lost either."""
    with held_up(world.db):
        [ana] = world.came(follow=True)
        assert (0, {}) == (world.projector.run(), world.counts())
        assert world.projector.lag(world.db) > 0
    assert (1, {ana: 1}) == (world.projector.run(), world.counts())
    assert 0 == world.projector.lag(world.db)


def test_where_there_is_nothing_to_do_it_asks_once(world: Visits) -> None:
    """Each second of a quiet day costs one look: no lock, nothing written; also while events wait
    for an older transaction."""
    world.came(follow=True)
    asked: list[None] = []

    def db() -> Database:
        asked.append(None)
        return world.db

    quiet = Projector(db, world.store, world.projector.projection)
    before = world.db.all("select xmin::text, xmax::text from projections order by side")
    assert (0, 1) == (quiet.run(), len(asked))
    with held_up(world.db):
        world.came()
        assert (0, 2) == (quiet.run(), len(asked))
    assert before == world.db.all("select xmin::text, xmax::text from projections order by side")


def test_events_of_other_categories_are_none_of_its_business(world: Visits) -> None:
    """They are passed over, and do not count as a delay."""
    [ana] = world.came()
    world.projector.run()
    world.append(Stream("chair", uuid4()), Left())
    assert (0.0, 0, {ana: 1}) == (
        world.projector.lag(world.db),
        world.projector.run(),
        world.counts(),
    )


def test_many_at_once_never_apply_twice(world: Visits) -> None:
    """Six threads append and follow while six run: each event is applied once and in order."""

    def appends() -> None:
        streams = [visitor(uuid4()) for _ in range(4)]
        for version in range(6):
            for stream in streams:
                world.append(stream, Came(name="Ana"), expected=version, follow=True)
        world.db.close()

    over = threading.Event()

    def runs() -> int:
        applied = 0
        while not over.is_set():
            applied += world.projector.run(limit=7)
        world.db.close()
        return applied

    runners: list[object] = []
    running = threading.Thread(target=lambda: runners.extend(together(*[runs] * 6)))
    running.start()
    together(*[appends] * 6)
    over.set()
    running.join()
    assert [int] * 6 == [type(result) for result in runners]
    world.projector.run()
    assert True is in_order(world.applied())
    assert {6} == set(world.counts().values())
    assert 6 * 4 * 6 == len(world.applied())


def test_who_meets_another_at_work_leaves_it_to_that_one(world: Visits) -> None:
    """A second run returns at once; the first finds what came meanwhile."""
    inside, go_on = threading.Event(), threading.Event()

    def slowly(tx: Tx, event: Recorded, table: Side) -> None:
        inside.set()
        go_on.wait(25)
        apply(tx, event, table)

    slow = visits(world.url, slowly)
    world.came()
    results: list[int] = []
    working = threading.Thread(target=lambda: results.append(slow.projector.run()))
    working.start()
    assert inside.wait(60)
    world.came(follow=True)
    assert 0 == world.projector.run()
    go_on.set()
    working.join()
    # The later event waited behind the gate that the first one's transaction was: not lost.
    assert 2 == sum(results) + world.projector.run()
    assert True is _applied_everything(world)


def test_a_failure_leaves_no_trace(world: Visits) -> None:
    """When an event cannot be applied its portion is rolled back, and the error names the event."""
    world.came(3)

    def refuses(tx: Tx, event: Recorded, table: Side) -> None:
        apply(tx, event, table)
        if len(tx.all(f"select from {table}")) == 3:
            raise KeyError("no")

    failing = visits(world.url, refuses).projector
    with pytest.raises(KeyError) as failure:
        failing.run()
    [note] = failure.value.__notes__
    assert note.startswith("projection visits, event 1-")
    assert {} == world.counts()
    assert (3, True) == (world.projector.run(), _applied_everything(world))


def test_one_that_fails_keeps_none_of_the_others(world: Visits) -> None:
    """Of several projections each has its turn; the failure is told in the end."""

    def refuses(tx: Tx, event: Recorded, table: Side) -> None:
        raise KeyError("no")

    other = Projection("refused", ["visit"], refuses, ["visits"])
    refused = Projector(lambda: world.db, world.store, other)
    [ana] = world.came()
    with pytest.raises(KeyError):
        catch_up([refused, world.projector])
    assert {ana: 1} == world.counts()
    assert True is ((lags([world.projector, refused])(world.db))["dentalhelp.projection.lag"] > 0)  # type: ignore[operator]


def test_the_live_side_is_named(world: Visits) -> None:
    """Before anything ran and after it, the first side is the live one."""
    assert "visits_a" == world.projector.table(world.db)
    world.came(follow=True)
    assert "visits_a" == world.db.transaction(world.projector.table)
    assert "order_a" == world.projector.table(world.db).of("order")


def test_reading_the_live_side_looks_at_one_table(world: Visits) -> None:
    """The statement that finds out which side is live uses that side's index, and no other side."""
    [ana] = world.came(follow=True)
    source = world.projector.projection.live()
    plan = world.db.all(
        f"explain (analyze, costs off, timing off) select * from {source} v where person_id = :id",
        id=ana,
    )
    lines = [line for row in plan for line in map(str.strip, row["QUERY PLAN"].splitlines())]
    scans = [line for line in lines if " on visits_" in line]
    assert [True, False] == ["never executed" not in line for line in scans]


@pytest.mark.parametrize(
    ("name", "categories", "table"),
    [("Visits", ["visit"], "visits"), ("visits", [], "visits"), ("visits", ["visit"], "a; drop")],
)
def test_what_cannot_be_a_projection_is_refused(
    name: str, categories: list[str], table: str
) -> None:
    """Names stand in SQL, so they are checked where they are declared."""
    with pytest.raises(ValueError, match=r"name|needs"):
        Projection(name, categories, apply, [table])


def test_a_service_has_the_job_and_the_gauge_with_its_projections(world: Visits) -> None:
    """The schedule applies what is left; a service without projections has no such job."""
    with_some = Service(
        "visiting", api=Api("visiting", "/api/visiting"), projections=[world.projector]
    )
    without = Service("alone", api=Api("alone", "/api/alone"))
    [ana] = world.came()
    assert (1, {ana: 1}) == (with_some.jobs["project"].run(), world.counts())
    assert False is ("project" in without.jobs)
    own = [gauge for gauge in with_some.gauges if gauge not in without.gauges]
    assert [{"dentalhelp.projection.lag": 0.0}] == [gauge(world.db) for gauge in own]
