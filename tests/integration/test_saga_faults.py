"""Sagas under lost, doubled, late and reordered messages, dead processes and changed code."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from infra.chaos.arm import Faults
from shared import faults, saga_store
from shared.errors import Conflict
from shared.messages import Envelope
from shared.saga import Orchestrator, Saga
from tests.saga_contracts import (
    SettleAlpha,
    opening,
)
from tests.saga_world import World, at_rest, databases


@pytest.fixture(scope="module")
def urls(new_db: Callable[[], str]) -> dict[str, str]:
    """The databases of the three services."""
    return databases(new_db)


@pytest.fixture
def world(urls: dict[str, str]) -> Iterator[World]:
    """The three services at rest."""
    with at_rest(urls) as made:
        yield made


def test_lost_command_is_sent_again(world: World) -> None:
    """A command that got lost is sent again by the schedule, as the same message."""
    world.deaf.add("OPEN_BETA")
    thing = world.start()
    world.bus.drain()
    world.deaf.clear()
    assert 0 == world.pass_time(seconds=9)
    assert 1 == world.pass_time(seconds=1)
    sent = [env.event_id for env in world.sent if env.event_type == "OPEN_BETA"]
    assert 1 == len(set(sent))
    assert len(sent) > 1
    assert "COMPLETED" == world.status(thing)


def test_a_step_that_dies_before_its_commit_is_taken_again(world: World, tmp_path: Path) -> None:
    """Whoever dies with the next step written and not committed leaves the saga as it was."""
    armed = Faults(tmp_path)
    armed.arm("saga.continued", "error")
    with faults.installed(tmp_path):
        thing = world.start()
        world.bus.drain()
        assert (True, "RUNNING") == (armed.hit("saga.continued"), world.status(thing))
        world.pass_time(seconds=30)
    assert "COMPLETED" == world.status(thing)
    effects = world.effects(thing)
    assert len(effects) == len(set(effects))


def test_everything_delivered_twice(world: World) -> None:
    """Duplicates of commands and answers change nothing."""
    thing = world.start()
    world.bus.drain()
    before = (world.effects(thing), world.shown(thing))
    for env in list(world.sent):
        for service in world.on:
            assert world.receive(service, env) in {"duplicate", "unknown"}
    assert before == (world.effects(thing), world.shown(thing))


def test_late_do_after_undo_has_no_effect(world: World) -> None:
    """A do that arrives after its undo is a duplicate for the participant."""
    world.deaf.add("OPEN_BETA")
    thing = world.start()
    world.bus.drain()
    late = next(env for env in world.sent if env.event_type == "OPEN_BETA")
    world.pass_time(minutes=15)
    assert "FAILED" == world.status(thing)
    assert "duplicate" == world.receive("beta", late)
    assert ["OpenAlpha", "CloseAlpha", "CloseBeta"] == world.effects(thing)


def test_deadline_compensates(world: World) -> None:
    """A saga that is not through in time is undone, and its timeline says why."""
    world.deaf.add("OPEN_GAMMA")
    thing = world.start()
    world.bus.drain()
    world.pass_time(minutes=15)
    assert "FAILED" == world.status(thing)
    assert "deadline gamma do" in world.events(thing)
    assert "deadline" == world.shown(thing)["error"]


def test_two_ticks_at_once_never_double(world: World) -> None:
    """Schedules that overlap continue every saga once."""
    world.deaf.add("OPEN_BETA")
    things = [world.start() for _ in range(30)]
    world.bus.drain()
    world.clock.advance(timedelta(seconds=10))
    counts: list[int] = []
    ready = threading.Barrier(4)

    def tick() -> None:
        ready.wait()
        counts.append(world.orchestrator.tick())
        world.dbs["alpha"].close()

    threads = [threading.Thread(target=tick) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 30 == sum(counts)
    assert {2} == {world.shown(thing)["attempts"] for thing in things}


def test_answers_and_ticks_at_once_never_double(world: World) -> None:
    """Answers that arrive while several schedules repeat commands lead to each effect once."""
    things = [world.start() for _ in range(15)]
    world.clock.advance(timedelta(seconds=10))
    over = threading.Event()

    def tick() -> None:
        while not over.is_set():
            world.orchestrator.tick()
        world.dbs["alpha"].close()

    threads = [threading.Thread(target=tick) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        world.bus.drain()
        world.clock.advance(timedelta(seconds=1))
    over.set()
    for thread in threads:
        thread.join()
    world.pass_time(seconds=60)
    assert {"COMPLETED"} == {world.status(thing) for thing in things}
    expected = ["OpenAlpha", "SettleAlpha", "OpenBeta", "OpenGamma", "GreetGamma"]
    assert [expected] * 15 == [world.effects(thing) for thing in things]


def test_expired_lease_is_continued_and_the_old_holder_fenced_off(world: World) -> None:
    """A process dies with sagas in its hands: the next one waits for the lease, then goes on."""
    world.deaf.add("OPEN_BETA")
    thing = world.start()
    world.bus.drain()
    world.deaf.clear()
    now = world.clock.advance(timedelta(seconds=10))
    lease = now + timedelta(seconds=saga_store.LEASE_S)
    (held,) = saga_store.claim(world.dbs["alpha"], now, lease, 10)
    assert 0 == world.pass_time(seconds=29)
    assert 1 == world.pass_time(seconds=1)
    assert "COMPLETED" == world.status(thing)
    assert not world.orchestrator._wake(thing, held["fence"])


def test_an_answer_overtakes_a_lease(world: World) -> None:
    """An answer goes on at once, and the holder of the lease then finds nothing to do."""
    thing = world.start()
    now = world.clock.advance(timedelta(seconds=10))
    (held,) = saga_store.claim(world.dbs["alpha"], now, now + timedelta(seconds=30), 10)
    world.bus.drain()
    assert "COMPLETED" == world.status(thing)
    assert not world.orchestrator._wake(thing, held["fence"])


def test_broken_local_step_does_not_stop_the_others(world: World) -> None:
    """A local step that raises counts as an attempt; other sagas go on; a person is asked."""
    world.refuse.add(SettleAlpha)
    broken = world.start()
    world.bus.drain()
    world.refuse.clear()
    world.crash.add(SettleAlpha)
    world.deaf.add("OPEN_BETA")
    other = world.start()
    world.bus.drain()
    world.deaf.clear()
    assert 2 == world.pass_time(seconds=10)
    assert "SettleAlpha" not in world.effects(broken)
    assert ["OpenAlpha", "OpenBeta", "OpenGamma"] == world.effects(other)
    world.pass_time(seconds=20)
    world.pass_time(seconds=40)
    assert "PARKED" == world.status(broken)


def changed() -> Saga:
    """The same name with a step less."""
    return Saga("opening", *opening().steps[:-1])


@pytest.mark.parametrize("sagas", [[], [changed()]], ids=["gone", "changed"])
def test_changed_definition_is_parked_and_loses_no_answer(world: World, sagas: list[Any]) -> None:
    """Code that does not fit a saga refuses to continue it; code that fits picks it up again."""
    thing = world.start()
    old, alpha = world.orchestrator, world.on["alpha"]
    new = Orchestrator("alpha", sagas, alpha, lambda: world.dbs["alpha"])
    handler = alpha.handlers.pop("SAGA_REPLIED")
    alpha.register(handler.message, handler.topics)(new.reply)
    world.bus.drain()
    shown = world.shown(thing)
    assert ("PARKED", "definition changed") == (shown["status"], shown["error"])
    with pytest.raises(Conflict):
        new.resume(thing)
    alpha.handlers["SAGA_REPLIED"] = handler
    old.resume(thing)
    world.bus.drain()
    assert "COMPLETED" == world.status(thing)
    assert 1 == world.effects(thing).count("OpenBeta")


def test_changed_definition_is_parked_by_the_schedule(world: World) -> None:
    """A saga that waits is refused by code that does not fit, too."""
    thing = world.start()
    world.clock.advance(timedelta(seconds=10))
    Orchestrator("alpha", [changed()], world.on["alpha"], lambda: world.dbs["alpha"]).tick()
    assert "PARKED" == world.status(thing)


def test_answers_for_others_are_ignored(world: World) -> None:
    """An answer to another service's saga, or to one that does not exist, changes nothing."""
    thing = world.start()
    world.bus.drain()
    answer = next(env for env in world.sent if env.event_type == "SAGA_REPLIED")
    before = world.shown(thing)
    for change in ({"saga_id": str(uuid4())}, {"orchestrator": "beta"}):
        foreign = Envelope.model_validate(
            {**answer.model_dump(), "event_id": uuid4(), "payload": {**answer.payload, **change}}
        )
        assert "handled" == world.receive("alpha", foreign)
    assert before == world.shown(thing)


def test_undo_needs_no_do(world: World) -> None:
    """The undo of a step that never took effect is carried out and answered."""
    world.deaf.add("OPEN_BETA")
    thing = world.start()
    world.bus.drain()
    for seconds in (10, 20, 40):
        world.pass_time(seconds=seconds)
    assert ["OpenAlpha", "CloseAlpha", "CloseBeta"] == world.effects(thing)
    assert "FAILED" == world.status(thing)
