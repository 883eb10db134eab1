"""Messages and requests that race with an erasure leave nothing behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import ClassVar
from uuid import UUID, uuid4

import pytest

from infra.local.postgres import Cluster
from shared.db import Database, LockTimeout, Tx
from shared.inbox import Subscriptions, receive
from shared.messages import Envelope, Event, envelope
from shared.privacy import Personal, PersonErased, Privacy, alive
from shared.saga import replied
from tests.erasure_stack import as_superuser

privacy = Privacy(tables=(Personal("visits"),))


class Visited(Event):
    """Somebody was here."""

    key: ClassVar[str] = "person_id"

    person_id: UUID
    day: str


on = Subscriptions("visits")


@on(Visited)
def note_visit(event: Visited, tx: Tx) -> None:
    """One more row about the person."""
    tx.run("insert into visits values (:p, :day)", p=event.person_id, day=event.day)


@pytest.fixture
def db(kit_db: Callable[[], str], cluster: Cluster) -> Database:
    """A service's database with a table of its own."""
    made = Database(kit_db())
    owner = as_superuser(cluster, made)
    owner.all("create table visits (person_id uuid not null, day text not null)")
    owner.all("grant all on visits to public")
    owner.close()
    return made


def _erase(db: Database, person: UUID) -> dict[str, int]:
    return db.transaction(
        lambda tx: privacy.erase(tx, person, uuid4())[0], isolation="READ COMMITTED"
    )


def _visited(person: UUID, day: str = "2026-01-15") -> Envelope:
    return envelope(Visited(person_id=person, day=day), source="reception")


def test_no_request_makes_a_row_about_somebody_erased(db: Database) -> None:
    """``alive`` refuses them, and lets everybody else in."""
    person = uuid4()
    _erase(db, person)
    with pytest.raises(PersonErased):
        db.transaction(lambda tx: alive(tx, person), isolation="READ COMMITTED")
    db.transaction(lambda tx: alive(tx, uuid4()), isolation="READ COMMITTED")


def test_a_message_that_races_with_an_erasure_leaves_nothing(db: Database) -> None:
    """Whatever comes first, of messages and the erasure of each of many people, no row is left:
    handled and then erased, or dropped."""
    people = [uuid4() for _ in range(20)]
    gate = threading.Barrier(4)
    outcomes: list[str] = []

    def deliver(number: int) -> None:
        gate.wait()
        for person in people if number % 2 else reversed(people):
            env = _visited(person, day=str(number))
            outcome = None
            while outcome is None:
                # Who waited too long is asked again, as a broker does.
                with suppress(LockTimeout):
                    outcome = receive(db, on, env, replied=replied)
            outcomes.append(outcome)

    def destroy(_: int) -> None:
        gate.wait()
        for person in people:
            _erase(db, person)

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(deliver, number) for number in range(3)]
        jobs.append(pool.submit(destroy, 3))
        for job in jobs:
            job.result()
    assert [] == db.all("select from visits")
    assert {"handled", "erased"} >= set(outcomes)
    assert 60 == len(outcomes)


def test_an_erasure_waits_for_the_message_at_hand(db: Database) -> None:
    """A handler that has begun ends first; its rows are erased with the others."""
    person = uuid4()
    begun, done = threading.Event(), threading.Event()
    slow = Subscriptions("visits")

    @slow(Visited)
    def note_slowly(event: Visited, tx: Tx) -> None:
        note_visit(event, tx)
        begun.set()
        done.wait(25)  # the server ends a transaction that does nothing for longer

    with ThreadPoolExecutor(2) as pool:
        received = pool.submit(receive, db, slow, _visited(person), replied=replied)
        assert begun.wait(60)
        erased = pool.submit(_erase, db, person)
        waiting = "select from pg_locks where locktype = 'advisory' and not granted"
        while not db.all(waiting):
            assert not erased.done()
        done.set()
        assert "handled" == received.result()
        assert 1 == erased.result()["visits"]
    assert [] == db.all("select from visits")
    assert "erased" == receive(db, on, _visited(person), replied=replied)


_SAGA = """
insert into sagas (id, name, definition, subject, status, steps, states, round, attempts, since,
                   data, created_at, updated_at)
values (:id, 'visit', '', :person, 'RUNNING', '{}', '{}', 0, 0, now(), '\\x00', now(), now())
"""


def test_an_erasure_waits_for_the_step_at_hand_with_empty_hands(db: Database) -> None:
    """While a saga's step is under way, an erasure holds nothing that the step may need: neither
    has to be broken off for the other."""
    person = uuid4()
    db.all(_SAGA, id=uuid4(), person=person)
    db.all("insert into visits values (:person, '2026-01-15')", person=person)

    with ThreadPoolExecutor(1) as pool:

        def step(tx: Tx) -> Future[dict[str, int]]:
            tx.run("select from sagas where subject = :person for update", person=person)
            waiting = pool.submit(_erase, db, person)
            other = db.twin()
            while not other.all("select from pg_locks where not granted"):
                assert not waiting.done()
            other.close()
            tx.run("select from visits where person_id = :p for update nowait", p=person)
            return waiting

        erased = db.transaction(step, isolation="READ COMMITTED").result(60)
    assert (1, 1) == (erased["visits"], erased["sagas"])
