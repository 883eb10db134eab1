"""Nothing of an erased person gets into a read model, or stays in one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from uuid import uuid4

import pytest

from shared.config import config
from shared.db import Database, Tx
from shared.eventstore import Recorded
from shared.privacy import Hold, Personal, Privacy
from shared.projection import Side
from tests.projection_stack import (
    PRIVACY,
    Visits,
    apply,
    eventually,
    tables,
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


def test_an_erasure_before_leaves_nothing_to_apply(world: Visits) -> None:
    """Events of somebody who was erased are applied without what they said."""
    ana, ion = world.came(2)
    world.erase(ana)
    assert 2 == world.projector.run()
    assert {ion: 1} == world.counts()


def test_an_erasure_under_way_is_waited_for(world: Visits) -> None:
    """What was readable when it was read is not written after its person was erased."""
    ana, ion = world.came(2)
    results: list[int] = []

    def erases(tx: Tx) -> None:
        PRIVACY.erase(tx, ana, uuid4())
        running.start()
        eventually(lambda: _waiting(world.db.twin()) > 0)

    running = threading.Thread(target=lambda: results.append(world.projector.run()))
    world.db.transaction(erases, isolation="READ COMMITTED")
    running.join()
    world.projector.run()
    assert {ion: 1} == world.counts()


def test_an_erasure_waits_for_what_is_being_applied(world: Visits) -> None:
    """It finds the rows that were made while it was on its way."""
    [ana] = world.came()
    erasing: list[threading.Thread] = []

    def slowly(tx: Tx, event: Recorded, table: Side) -> None:
        apply(tx, event, table)
        thread = threading.Thread(target=lambda: world.erase(ana))
        thread.start()
        erasing.append(thread)
        eventually(lambda: _waiting(world.db.twin()) > 0)

    assert 1 == visits(world.url, slowly).projector.run()
    erasing[0].join()
    assert {} == world.counts()
    assert [] == world.db.all("select from visits_a union all select from visits_b")


def _waiting(db: Database) -> int:
    found = db.all(
        "select count(*) as n from pg_locks where locktype = 'advisory' and not granted"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    db.close()
    return int(found[0]["n"])


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


def test_what_a_law_holds_stays_in_the_read_model(
    world: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made anew after the erasure it is the same; when the time is over, its rows go and stay
    away, however often it is made anew."""
    hold = Hold("visit", since="(select max(recorded_at) from events)")
    held = Privacy(
        tables=(
            *(Personal(table.table, hold=hold) for table in PRIVACY.tables),
            Personal("events", erase="keep", show=lambda tx, person: [], hold=hold),
        )
    )
    ana, ion = world.came(2, follow=True)
    for days in (10, 0):
        rule = json.dumps({"visit": {"days": days, "reason": "a law"}})
        monkeypatch.setenv("RETENTION", rule)
        config.cache_clear()
        world.db.transaction(lambda tx: held.erase(tx, ana, uuid4()), isolation="READ COMMITTED")
        left = {ana: 1, ion: 1} if days else {ion: 1}
        assert left == world.counts()
        assert [] == world.projector.check()
        world.projector.rebuild()
        assert left == world.counts()
    monkeypatch.undo()
    config.cache_clear()
