"""The live side of a projection, compared with what its events make of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from shared.db import Contention, Database
from shared.eventstore import Stream
from shared.projection import Projection, Projector
from shared.projection_rebuild import Difference, Rebuild
from tests.projection_stack import (
    Left,
    Visits,
    apply,
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
