"""The event store: append with an expected version, read back, one person's key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from infra.local import postgres
from shared.audit import acting
from shared.crypto import Unreadable
from shared.db import Database, Tx
from shared.errors import StaleVersion
from shared.eventstore import EventStore, Recorded, Stream
from shared.identity import Caller
from shared.messages import UnknownType
from shared.privacy import PersonErased
from shared.wire import SqlError
from tests.eventstore_stack import ChairMoved, Moved, Registered, World, world
from tests.integration.db_stack import together

CLINIC = UUID("0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")


@pytest.fixture(scope="module")
def store(kit_db: Callable[[], str]) -> World:
    """One database for all; each test has streams of its own."""
    return world(kit_db())


def test_what_was_appended_is_read_back(store: World) -> None:
    """Facts come back equal, numbered, in their order, with who did it and when."""
    stream, actor = store.stream(), uuid4()
    facts = [Registered(name="Ana", clinic=CLINIC), Moved(town="Cluj"), Moved(town=None, far=True)]
    before = datetime.now(UTC)
    with acting(Caller("person", actor)):
        assert 3 == store.append(stream, *facts)
    found = store.store.history(store.db, stream)
    assert facts == [event.fact for event in found]
    assert [1, 2, 3] == [event.version for event in found]
    assert ["REGISTERED", "MOVED", "MOVED"] == [event.type for event in found]
    assert {(stream.category, stream.id, stream.person, actor, False)} == {
        (event.category, event.id, event.person_id, event.actor, event.erased) for event in found
    }
    for event in found:
        assert event.recorded_at == event.effective_at
        assert timedelta(seconds=-1) < event.recorded_at - before < timedelta(seconds=60)


def test_personal_fields_rest_sealed(store: World) -> None:
    """The table shows what is not personal, and nothing of what is."""
    stream = store.stream()
    store.append(stream, Registered(name="Ileana", clinic=CLINIC), Moved(town="Oradea", far=True))
    rows = store.db.all("select events::text as row, data from events where id = :id", id=stream.id)
    assert [{"clinic": str(CLINIC)}, {"far": True}] == [row["data"] for row in rows]
    assert [] == [row for row in rows if "Ileana" in row["row"] or "Oradea" in row["row"]]


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_an_append_that_was_overtaken_raises(store: World, isolation: str) -> None:
    """A version that is over, or that does not exist yet, is refused and leaves nothing."""
    stream = store.stream()
    store.append(stream, Moved(town="Cluj"), Moved(town="Dej"))
    for expected in (0, 1, 3):

        def work(tx: Tx, expected: int = expected) -> int:
            return store.store.append(tx, stream, [Moved(town="Turda")], expected=expected)

        with pytest.raises(StaleVersion):
            store.db.transaction(work, isolation=isolation)  # type: ignore[arg-type]
    assert ["Cluj", "Dej"] == [e.fact.town for e in store.store.history(store.db, stream)]


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_of_many_that_expect_the_same_one_appends(store: World, isolation: str) -> None:
    """Of eight threads with one expected version one succeeds, the others know that they lost."""
    stream = store.stream()
    store.append(stream, Moved(town="0"))

    def appender(name: int) -> Callable[[], object]:
        def work(tx: Tx) -> int:
            return store.store.append(
                tx, stream, [Moved(town=str(name)), Moved(town=str(name))], expected=1
            )

        return lambda: store.db.transaction(work, isolation=isolation)  # type: ignore[arg-type]

    results = together(*[appender(name) for name in range(1, 9)])
    winners = [at + 1 for at, result in enumerate(results) if result == 3]
    assert 1 == len(winners)
    assert [StaleVersion] * 7 == [type(result) for result in results if result != 3]
    towns = [event.fact.town for event in store.store.history(store.db, stream)]
    assert ["0", str(winners[0]), str(winners[0])] == towns


def test_appending_nothing_changes_nothing(store: World) -> None:
    """No facts: the version stays, and the database is not asked."""
    assert 0 == store.append(store.stream())


def test_a_rolled_back_append_leaves_nothing(store: World) -> None:
    """Facts stand or fall with the caller's transaction."""
    stream = store.stream()

    def work(tx: Tx) -> None:
        store.store.append(tx, stream, [Moved(town="Cluj")], expected=0)
        raise LookupError

    with pytest.raises(LookupError):
        store.db.transaction(work)
    assert [] == store.store.history(store.db, stream)


def test_an_early_transaction_does_not_append_behind_a_later_one(store: World) -> None:
    """Who began to write before the stream's last appender did is run again with a later id:
    in the order of all events, too, a stream's versions follow one another."""
    stream, runs = store.stream(), []
    store.append(stream, Moved(town="Cluj"))

    def overtake() -> None:
        store.append(stream, Moved(town="Dej"), expected=1)

    def work(tx: Tx) -> int:
        runs.append(tx.value("select pg_current_xact_id()::text"))
        if len(runs) == 1:
            assert [None] == together(overtake)
        return store.store.append(tx, stream, [Moved(town="Turda")], expected=2)

    assert 3 == store.db.transaction(work, isolation="READ COMMITTED")
    assert 2 == len(runs)
    events = store.read(categories=[stream.category], limit=10_000)
    assert [1, 2, 3] == [event.version for event in events if event.id == stream.id]


def test_a_batch_is_one_round_trip(store: World) -> None:
    """A hundred facts cost what one costs, and the key is read once in a transaction."""
    stream = store.stream()
    store.append(stream, Moved(town="0"))

    def work(tx: Tx) -> list[int]:
        spent = []
        for expected, count in ((1, 100), (101, 1)):
            before = tx.exchanges
            facts = [Moved(town=str(n)) for n in range(count)]
            store.store.append(tx, stream, facts, expected=expected)
            spent.append(tx.exchanges - before)
        return spent

    assert [2, 1] == store.db.transaction(work)
    assert 102 == len(store.store.history(store.db, stream))


def test_nobody_may_change_what_was_recorded(store: World) -> None:
    """The runtime role may add and read facts, and neither change nor delete them or the epoch."""
    stream = store.stream()
    store.append(stream, Moved(town="Cluj"))
    for sql in (
        "update events set data = '{}'",
        "delete from events",
        "truncate events",
        "update event_epochs set epoch = 9",
        "delete from event_epochs",
        "insert into event_epochs (one, epoch) values (false, 1)",
    ):
        with pytest.raises(SqlError) as refused:
            store.db.all(sql)
        assert "42501" == refused.value.code


def test_erased_facts_are_unreadable_and_still_count(store: World) -> None:
    """After an erasure the personal facts are there without their content, the others with it."""
    stream, other = store.stream(), store.stream()
    store.append(stream, Moved(town="Cluj"), ChairMoved(room=2))
    store.append(other, Moved(town="Dej"))
    assert stream.person is not None
    store.erase(stream.person)
    found = store.store.history(store.db, stream)
    assert [(1, None, True), (2, ChairMoved(room=2), False)] == [
        (event.version, event.fact, event.erased) for event in found
    ]
    assert [Moved(town="Dej")] == [e.fact for e in store.store.history(store.db, other)]


@pytest.mark.parametrize("fact", [Moved(town="Cluj"), ChairMoved(room=1)])
def test_nothing_is_added_about_the_erased(store: World, fact: Moved | ChairMoved) -> None:
    """Who was erased gets no more facts, whether personal or not, known before or not."""
    known, unknown = store.stream(), store.stream()
    store.append(known, Moved(town="Cluj"))
    for stream, expected in ((known, 1), (unknown, 0)):
        assert stream.person is not None
        store.erase(stream.person)
        with pytest.raises(PersonErased):
            store.append(stream, fact, expected=expected)
        assert expected == len(store.store.history(store.db, stream))


def test_facts_of_a_stream_about_nobody(store: World) -> None:
    """They need no key; personal fields there are a mistake, and so is a fact of another store."""
    stream = Stream("chair", uuid4())
    assert 1 == store.append(stream, ChairMoved(room=3))
    assert [ChairMoved(room=3)] == [e.fact for e in store.store.history(store.db, stream)]
    with pytest.raises(ValueError, match="about a person"):
        store.append(stream, Moved(town="Cluj"), expected=1)
    with pytest.raises(ValueError, match="not among the facts"):
        EventStore(store.vault, [Moved]).append(
            None,  # type: ignore[arg-type]
            stream,
            [ChairMoved(room=1)],
            expected=1,
        )


def test_a_fact_that_is_not_known_is_not_passed_over(store: World) -> None:
    """Code that does not know a fact cannot tell the state: reading it raises."""
    stream = store.stream()
    store.append(stream, ChairMoved(room=1))
    with pytest.raises(UnknownType):
        EventStore(store.vault, [Moved]).history(store.db, stream)


def test_load_folds_the_history(store: World) -> None:
    """The state after every fact, and the version to expect when appending."""
    stream = store.stream()

    def towns(state: list[str], event: Recorded) -> list[str]:
        return [*state, event.fact.town]

    assert ([], 0) == store.store.load(store.db, stream, list[str](), towns)
    store.append(stream, Moved(town="Cluj"), Moved(town="Dej"))
    assert (["Cluj", "Dej"], 2) == store.store.load(store.db, stream, list[str](), towns)


def test_an_erasure_in_the_middle_of_an_append(store: World) -> None:
    """What commits after the key has gone counts, and nobody can read it."""
    stream = store.stream()
    store.append(stream, Moved(town="Cluj"))

    def work(tx: Tx) -> None:
        store.store.append(tx, stream, [Moved(town="Dej")], expected=1)
        assert stream.person is not None
        person = stream.person
        assert [None] == together(lambda: store.erase(person))

    store.db.transaction(work, isolation="READ COMMITTED")
    found = store.store.history(store.db, stream)
    assert [(1, True), (2, True)] == [(event.version, event.erased) for event in found]


def test_a_sealed_fact_cannot_stand_in_for_another(store: World, cluster: postgres.Cluster) -> None:
    """Content that somebody moved to another place does not open, not even for the same person."""
    stream = store.stream()
    store.append(stream, Moved(town="Cluj"), Moved(town="Dej"))
    name = store.db.all("select current_database() as name")[0]["name"]
    url = postgres.database_url(cluster.socket_dir, "postgres", cluster.password, name)
    Database(url).all(
        "update events set sealed = (select sealed from events where id = :id and version = 1)"
        " where id = :id and version = 2",
        id=stream.id,
    )
    assert 1 == len(store.store.history(store.db, stream, until_version=1))
    with pytest.raises(Unreadable):
        store.store.history(store.db, stream)


def test_other_alphabets_and_odd_text_come_back(store: World) -> None:
    """Sealed text may be anything that Python can encode."""
    towns = ["", 'Ж\u0000\n"\\ \U0001f9b7', "}{", "x" * 100_000]
    stream = store.stream()
    store.append(stream, *[Moved(town=town) for town in towns])
    assert towns == [event.fact.town for event in store.store.history(store.db, stream)]
