"""Registrations and e-mail changes end right whatever stops in the middle and comes back.

A whole platform, one process per target, under traffic. What stops is ended with -9. Afterwards
nothing is lost, doubled, half-written or left behind, by the books of both databases.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from infra.chaos.crowd import Crowd
from infra.chaos.ledgers import Ledgers, ledgers_of
from infra.local.stack import Stack
from shared.db import Tx
from shared.errors import Unavailable

_OUTAGE, _CALM = 1.5, 0.5  # seconds
_UNPUBLISHED = 8  # messages that are to be caught between commit and publish
_SETTLED = 180.0  # seconds; the machine may be slow and busy
_NOTICED = 60.0  # seconds until somebody is told that something is away


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One platform for this module; every test leaves it running."""
    environment = {"PASSWORD_COST": "low"}
    with (
        tempfile.TemporaryDirectory(prefix="dh-", ignore_cleanup_errors=True) as directory,
        Stack(Path(directory), mode="processes", environment=environment) as running,
    ):
        yield running


@pytest.fixture
def ledgers(stack: Stack) -> Iterator[Ledgers]:
    """The books of the platform."""
    books = ledgers_of(stack)
    yield books
    books.close()


def _during(stack: Stack, outage: Callable[[Crowd], None], **people: int) -> Crowd:
    """Traffic, in the middle of which there is an ``outage``; everybody has finished."""
    with Crowd(stack, **people) as crowd:
        time.sleep(_CALM)
        outage(crowd)
        stack.wait_healthy()
        time.sleep(_CALM)
    return crowd


def _away(
    stack: Stack, *names: str, seconds: float = _OUTAGE, noticed: bool = False
) -> Callable[[Crowd], None]:
    """These processes are dead for a while; ``noticed``: until somebody was told so."""

    def outage(crowd: Crowd) -> None:
        before = len(crowd.refused)
        for name in names:
            stack.kill(name)
        time.sleep(seconds)
        deadline = time.monotonic() + _NOTICED
        while noticed and len(crowd.refused) == before and time.monotonic() < deadline:
            time.sleep(0.05)
        for name in names:
            stack.start_process(name)

    return outage


def _converges(stack: Stack, crowd: Crowd, ledgers: Ledgers) -> None:
    """Everything ends, and ends right: what people were told holds in both databases."""
    # Not counted: the minute for which an e-mail belongs to a sender that died with it.
    ledgers.settle(_SETTLED, hurry=True)
    assert [] == crowd.faults, _last_error(stack)
    assert [] == ledgers.faults()
    failed = ledgers.all("auth", "select id from sagas where status = 'FAILED'")
    wanted = crowd.addresses({str(row["id"]) for row in failed})
    for service, table in {"auth": "users", "patient": "patients"}.items():
        rows = ledgers.all(
            service, f"select email from {table} where email like '%.{crowd.tag}@example.com'"
        )
        assert sorted(wanted) == sorted(row["email"] for row in rows)
    assert crowd.moves > 0


def _last_error(stack: Stack) -> str:
    """What the processes have to say about a 500."""
    lines = [line for name in stack.names[1:] for line in stack.log(name).open(encoding="utf-8")]
    return next(
        (line for line in reversed(lines) if '"ERROR"' in line), "no process logged an error"
    )


def test_patient_is_away(stack: Stack, ledgers: Ledgers) -> None:
    """While patient is dead people register all the same, and are ACTIVE once it is back."""
    crowd = _during(stack, _away(stack, "patient.http", "patient.events", noticed=True))
    _converges(stack, crowd, ledgers)
    assert crowd.refused, "nobody read a profile during the outage"


def test_the_bus_is_away(stack: Stack, ledgers: Ledgers) -> None:
    """While the dispatcher and the schedule are dead nobody is told anything but yes."""
    crowd = _during(stack, _away(stack, "background"))
    _converges(stack, crowd, ledgers)
    assert [] == crowd.refused


def test_postgresql_is_away(stack: Stack, ledgers: Ledgers) -> None:
    """While PostgreSQL is dead people are told 503 and when to come back; who does, is served."""
    crowd = _during(stack, _away(stack, "postgres", noticed=True))
    _converges(stack, crowd, ledgers)
    assert crowd.refused, "nobody noticed"


def test_everything_dies_between_commit_and_publish(stack: Stack, ledgers: Ledgers) -> None:
    """What was committed and never published, because every process was ended with -9, is
    published after the next start."""

    ended: list[str] = []

    def outage(_: Crowd) -> None:
        def work(tx: Tx) -> None:
            # Nobody can publish; whoever has committed by now stands right before it.
            tx.run("lock table delivery in exclusive mode")
            # PostgreSQL ends a transaction that does nothing for half a minute.
            deadline = time.monotonic() + 25
            while ledgers.all("auth", "select count(*) as n from outbox")[0]["n"] < _UNPUBLISHED:
                assert time.monotonic() < deadline, "nobody commits"
                time.sleep(0.01)
            for name in reversed(stack.names):
                stack.kill(name)
                ended.append(name)

        with suppress(Unavailable):
            ledgers.transaction("bus", work)
        for name in stack.names:
            stack.start_process(name)

    crowd = _during(stack, outage, registering=_UNPUBLISHED)
    assert set(ended) == set(stack.names)
    _converges(stack, crowd, ledgers)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_anything_dies_at_any_moment(stack: Stack, ledgers: Ledgers, seed: int) -> None:
    """A dozen deaths in a row, of any processes, alone or together, at random moments."""
    chance = random.Random(seed)

    def outage(crowd: Crowd) -> None:
        for _ in range(12):
            names = chance.sample(stack.names, chance.choice((1, 1, 1, 2, 3)))
            _away(stack, *sorted(names, reverse=True), seconds=chance.uniform(0, 1))(crowd)
            time.sleep(chance.uniform(0, 0.5))

    crowd = _during(stack, outage)
    _converges(stack, crowd, ledgers)
