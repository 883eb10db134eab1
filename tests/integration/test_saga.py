"""Sagas over three services on three databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from shared import log
from shared.db import UniqueViolation
from shared.errors import Conflict, NotFound
from shared.types import uuid7
from tests.saga_contracts import (
    CloseBeta,
    GreetGamma,
    OpenAlpha,
    OpenGamma,
    SettleAlpha,
)
from tests.saga_world import World, at_rest, databases

SECRET = "ana.secret@example.org"


@pytest.fixture(scope="module")
def urls(new_db: Callable[[], str]) -> dict[str, str]:
    """The databases of the three services."""
    return databases(new_db)


@pytest.fixture
def world(urls: dict[str, str]) -> Iterator[World]:
    """The three services at rest."""
    with at_rest(urls) as made:
        yield made


def outbox_rows(world: World, service: str = "alpha") -> int:
    """How many messages a service has not got rid of."""
    row = world.dbs[service].one("select count(*) as n from outbox")
    assert row is not None
    return int(row["n"])


def test_happy_path(world: World) -> None:
    """Every service does its part, in order, and the data is gone at the end."""
    thing = world.start(secret=SECRET)
    assert ["OpenAlpha"] == world.effects(thing)
    assert "RUNNING" == world.status(thing)
    world.bus.drain()
    assert ["OpenAlpha", "SettleAlpha", "OpenBeta", "OpenGamma", "GreetGamma"] == world.effects(
        thing
    )
    shown = world.shown(thing)
    assert "COMPLETED" == shown["status"]
    assert {"DONE"} == {step["state"] for step in shown["steps"]}
    row = world.dbs["alpha"].one("select data, wake_at from sagas where id = :id", id=thing)
    assert {"data": None, "wake_at": None} == row


def test_local_messages_go_out_under_their_own_key(world: World) -> None:
    """What a local step returns is emitted in the same transaction; commands go by saga."""
    with log.context(correlation="correlation-1"):
        thing = world.start()
    world.bus.drain()
    opened = [env for env in world.sent if env.event_type == "ALPHA_OPENED"]
    assert [str(thing)] == [env.ordering_key for env in opened[:1]]
    commands = [env for env in world.sent if env.metadata.saga]
    assert {str(thing)} == {env.ordering_key for env in commands}
    assert {"correlation-1"} == {env.metadata.correlation_id for env in world.sent}


def test_refusal_compensates_in_reverse(world: World) -> None:
    """The third service refuses: the second and the first undo their part, in this order."""
    world.refuse.add(OpenGamma)
    thing = world.start()
    world.bus.drain()
    assert ["OpenAlpha", "CloseAlpha", "OpenBeta", "CloseBeta"] == world.effects(thing)
    assert "FAILED" == world.status(thing)
    assert ["sent beta undo", "done beta undo", "sent alpha undo", "done alpha undo", "failed"] == (
        world.events(thing)[-5:]
    )
    assert "gamma: urn:dentalhelp:problem:conflict" == world.shown(thing)["error"]


def test_refused_start_leaves_nothing(world: World) -> None:
    """A Problem of a local first step is the caller's, and there was never a saga."""
    world.refuse.add(OpenAlpha)
    with pytest.raises(Conflict):
        world.start()
    assert [] == world.orchestrator.list()
    assert 0 == outbox_rows(world)


def test_same_id_twice_is_refused(world: World) -> None:
    """A saga id names one saga."""
    thing = world.start()
    with pytest.raises(UniqueViolation):
        world.dbs["alpha"].transaction(
            lambda tx: world.saga.start(tx, data={"thing": thing}, subject=thing, saga_id=thing)
        )


def test_refused_local_step_drops_its_effects(world: World) -> None:
    """A refused local pivot leaves no effect; it is repeated, then parked, then resumed."""
    world.refuse.add(SettleAlpha)
    thing = world.start()
    world.bus.drain()
    assert "SettleAlpha" not in world.effects(thing)
    told = {env.event_id for env in world.sent if env.event_type == "ALPHA_OPENED"}
    assert 1 == len(told), "what the refused step emitted must not go out"
    assert "RUNNING" == world.status(thing)
    assert [1, 1] == [world.pass_time(seconds=s) for s in (10, 20)]
    assert "PARKED" == world.status(thing)
    assert 0 == world.pass_time(days=1)
    world.refuse.clear()
    world.orchestrator.resume(thing)
    world.bus.drain()
    assert "COMPLETED" == world.status(thing)


def test_refused_undo_is_parked_with_an_alarm(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """An undo that keeps being refused asks for a person, and goes on when they say so."""
    world.refuse |= {OpenGamma, CloseBeta}
    thing = world.start()
    world.bus.drain()
    world.pass_time(seconds=10)
    world.pass_time(seconds=20)
    assert "PARKED" == world.status(thing)
    assert "saga_parked" in capsys.readouterr().out
    assert [thing] == [row["id"] for row in world.orchestrator.list("PARKED")]
    world.refuse.clear()
    world.orchestrator.resume(thing)
    world.bus.drain()
    assert ["OpenAlpha", "CloseAlpha", "OpenBeta", "CloseBeta"] == world.effects(thing)
    assert "FAILED" == world.status(thing)


def test_optional_refusal_changes_nothing(world: World) -> None:
    """The saga completes without its optional step."""
    world.refuse.add(GreetGamma)
    thing = world.start()
    world.bus.drain()
    assert "COMPLETED" == world.status(thing)
    assert "REFUSED" == world.shown(thing)["steps"][-1]["state"]


def test_resume_is_for_parked_sagas(world: World) -> None:
    """Resuming anything else is refused."""
    with pytest.raises(NotFound):
        world.orchestrator.resume(uuid4())
    with pytest.raises(Conflict):
        world.orchestrator.resume(world.start())


def test_timeline_and_row_hold_nothing_personal(world: World) -> None:
    """Personal data is in no readable column, neither under way nor at the end."""
    thing = world.start(secret=SECRET)
    for _ in range(2):
        row = world.dbs["alpha"].one("select s::text as text from sagas s where id = :i", i=thing)
        assert row is not None
        assert SECRET not in row["text"]
        assert SECRET.encode().hex() not in row["text"]
        assert SECRET not in str(world.shown(thing))
        world.bus.drain()


def test_list_pages_newest_first(world: World) -> None:
    """Operators page through the sagas by the last id they saw."""
    things = []
    for _ in range(5):
        things.append(world.start())
        world.clock.advance(timedelta(milliseconds=1))
    first = [row["id"] for row in world.orchestrator.list(limit=3)]
    rest = [row["id"] for row in world.orchestrator.list("RUNNING", first[-1], 3)]
    assert things[::-1] == first + rest
    assert world.orchestrator.show(uuid7()) is None
    assert world.saga.show(things[0]) == world.orchestrator.show(things[0])
