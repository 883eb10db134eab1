"""The inbox: each message takes effect once, or is parked with a reason."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import clocks
from shared.db import Database, LockTimeout, Tx
from shared.errors import Conflict, NotFound, Problem, Reject, Unavailable
from shared.inbox import Subscriptions, receive, store_dead_letter
from shared.messages import Command, Envelope, Event, Message, Metadata, SagaContext, envelope
from shared.outbox import Outbox
from tests.integration.outbox_stack import RecordingBus, Ticked, aggregates, database


class Moved(Event):
    """A thing moved (version 2: ``to`` was called ``where``)."""

    schema_version: ClassVar[int] = 2
    key: ClassVar[str] = "thing"
    upcasters: ClassVar[dict[int, Any]] = {1: lambda old: {**old, "to": old["where"]}}

    thing: str
    to: int
    notes: dict[str, int] = {}


class Book(Command):
    """Do something."""

    key: ClassVar[str] = "thing"
    thing: str


class Unbook(Command):
    """Undo it."""

    key: ClassVar[str] = "thing"
    thing: str


on = Subscriptions("consumer")
TOPIC = Moved.topic()
raises: dict[str, Callable[[], BaseException]] = {}
seen: list[Metadata] = []


def effect(tx: Tx, thing: str) -> int:
    """Count one more effect on ``thing``; fail if the test wants it."""
    n = tx.value(
        "insert into thing values (:id, 1)"
        " on conflict (id) do update set n = thing.n + 1 returning n",
        id=thing,
    )
    if thing in raises:
        raise raises[thing]()
    return int(n)


@on(Moved)
def moved(event: Moved, tx: Tx, meta: Metadata) -> list[Message]:
    """Count it, and say so."""
    seen.append(meta)
    return [Ticked(thing=event.thing, n=effect(tx, event.thing))]


@on.command(Book, sender="orchestrator")
def book(command: Book, tx: Tx) -> list[Message]:
    """Count it."""
    effect(tx, command.thing)
    return []


@on.command(Unbook, sender="orchestrator")
def unbook(command: Unbook, tx: Tx) -> None:
    """Uncount it."""
    tx.run("delete from thing where id = :id", id=command.thing)


def replied(tx: Tx, env: Envelope, refusal: Problem | None) -> None:
    """Answer the saga with a ``Ticked``: 1 done, 0 refused."""
    tx.emit(Ticked(thing=f"reply {env.event_id}", n=0 if refusal else 1))


@pytest.fixture(scope="module")
def url(kit_db: Callable[[], str]) -> str:
    """One database for this module."""
    made = kit_db()
    aggregates(made)
    return made


@pytest.fixture
def bus() -> RecordingBus:
    """What the consumer publishes."""
    return RecordingBus()


@pytest.fixture
def db(url: str, bus: RecordingBus) -> Iterator[Database]:
    """The consumer's database."""
    raises.clear()
    seen.clear()
    with database(url, Outbox("consumer", bus)) as made:
        yield made


def deliver(db: Database, env: Envelope, topic: str | None = None) -> str:
    """Deliver ``env`` as its topic would."""
    return receive(db, on, env, replied=replied, topic=topic)


def effects(db: Database, thing: str) -> int:
    """How often ``thing`` was changed."""
    row = db.one("select n from thing where id = :id", id=thing)
    return 0 if row is None else int(row["n"])


def letter(db: Database, identity: object) -> str | None:
    """The reason why a message was parked."""
    row = db.one("select reason from dead_letters where id = :id", id=str(identity))
    return None if row is None else str(row["reason"])


def event(thing: str, **changes: Any) -> Envelope:
    """A ``Moved``; ``changes`` replace members of its payload or metadata."""
    env = envelope(Moved(thing=thing, to=1), source=TOPIC)
    read = json.loads(env.to_json())
    for name, value in changes.items():
        part = read["metadata"] if name in Metadata.model_fields else read["payload"]
        part[name] = value
    return Envelope.parse(json.dumps(read))


def command(message: Command, action: str = "do", cancels: UUID | None = None) -> Envelope:
    """A saga's command."""
    context = SagaContext.model_validate(
        {
            "saga_id": uuid4(),
            "step": "book",
            "action": action,
            "orchestrator": "orchestrator",
            "cancels": cancels,
        }
    )
    return envelope(message, source="orchestrator", saga=context)


def test_deliveries_at_once_take_effect_once(url: str, db: Database, bus: RecordingBus) -> None:
    """Of twenty deliveries at the same time one is handled, nineteen are duplicates."""
    env, outcomes = event("crowd"), []
    start = threading.Barrier(20)

    def run() -> None:
        with database(url, Outbox("consumer", bus)) as mine:
            mine.one("select 1")
            start.wait(20)
            outcomes.append(deliver(mine, env, TOPIC))

    threads = [threading.Thread(target=run) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ["duplicate"] * 19 + ["handled"] == sorted(outcomes)
    assert (1, [("crowd", 1)]) == (effects(db, "crowd"), bus.sent)


def test_a_failed_delivery_leaves_nothing_and_may_come_again(
    db: Database, bus: RecordingBus
) -> None:
    """What a handler raises comes out; effect, claim and messages are undone together."""
    env = event("shaky")
    raises["shaky"] = lambda: LookupError("not yet")
    with pytest.raises(LookupError):
        deliver(db, env)
    assert (0, [], None) == (effects(db, "shaky"), bus.sent, letter(db, env.event_id))
    raises.clear()
    assert ["handled", "duplicate"] == [deliver(db, env), deliver(db, env)]
    assert (1, [("shaky", 1)]) == (effects(db, "shaky"), bus.sent)


def test_a_rejected_message_is_parked_without_effect(db: Database, bus: RecordingBus) -> None:
    """A handler's Reject is a dead letter with its reason, once."""
    env = event("never")
    raises["never"] = lambda: Reject("no such thing\0 anywhere")
    assert ["rejected", "rejected"] == [deliver(db, env), deliver(db, env)]
    assert (0, []) == (effects(db, "never"), bus.sent)
    assert "no such thing\N{REPLACEMENT CHARACTER} anywhere" == letter(db, env.event_id)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"to": "north"}, "MOVED: to: int_parsing"),
        ({"notes": {"secret\0": "x"}}, "MOVED: notes: int_parsing"),
        ({"schema_version": 3}, "MOVED: version 3 is unknown here"),
        ({"schema_version": 0}, "MOVED: version 0 is unknown here"),
        ({"schema_version": 1}, "MOVED: version 1: KeyError"),
        ({"hlc": "yesterday"}, "not a hybrid clock stamp"),
        ({"thing": "nul\0"}, "SQLSTATE 22021"),
    ],
)
def test_what_can_never_be_handled_is_parked(
    db: Database, bus: RecordingBus, changes: dict[str, Any], reason: str
) -> None:
    """Bad payloads, versions and stamps are dead letters whose reason repeats no data."""
    env = event("bad", **changes)
    assert "rejected" == deliver(db, env, TOPIC)
    assert (reason, 0, []) == (letter(db, env.event_id), effects(db, "bad"), bus.sent)


def test_an_older_version_is_brought_up_to_date(db: Database) -> None:
    """A payload of version 1 passes through the upcaster."""
    env = event("old", schema_version=1, where=4, to=None)
    assert ("handled", 1) == (deliver(db, env), effects(db, "old"))


def test_a_parked_message_keeps_its_body(db: Database) -> None:
    """What is parked can be sent again as it came, nulls included."""
    env = event("kept", to=None)
    assert "rejected" == deliver(db, env)
    row = db.one("select body, attempts from dead_letters where id = :id", id=str(env.event_id))
    assert row is not None
    assert env == Envelope.parse(row["body"])
    assert {"thing": "kept", "to": None, "notes": {}} == json.loads(row["body"])["payload"]


def test_anything_can_be_parked(db: Database) -> None:
    """A body that is no text PostgreSQL could hold is parked all the same."""
    store_dead_letter(db, "odd\0" + "x" * 900, "a\0b\ud800", "r" * 9000, attempts=3)
    row = db.one("select body, length(reason) as n from dead_letters where id like 'odd%'")
    assert {"body": "a\N{REPLACEMENT CHARACTER}b?", "n": 2000} == row


def test_unknown_types_and_wrong_topics_are_unknown(db: Database) -> None:
    """They are acknowledged without effect: a command counts only from its sender's topic."""
    stranger = envelope(Ticked(thing="x", n=1), source="stranger")
    assert "unknown" == deliver(db, stranger)
    assert "unknown" == deliver(db, event("elsewhere"), "payment")
    forged = command(Book(thing="forged"))
    assert "unknown" == deliver(db, forged, TOPIC)
    assert (0, 0) == (effects(db, "elsewhere"), effects(db, "forged"))
    assert "handled" == deliver(db, forged, "orchestrator")


def test_a_command_is_answered_with_its_effect(db: Database, bus: RecordingBus) -> None:
    """Done: the effect and the answer commit together, once."""
    env = command(Book(thing="seat"))
    assert ["handled", "duplicate"] == [deliver(db, env), deliver(db, env)]
    assert (1, [(f"reply {env.event_id}", 1)]) == (effects(db, "seat"), bus.sent)


def test_a_refused_command_is_answered_without_effect(db: Database, bus: RecordingBus) -> None:
    """A problem below 500 is the answer; the effect before it is undone."""
    env = command(Book(thing="taken"))
    raises["taken"] = Conflict
    assert ["refused", "duplicate"] == [deliver(db, env), deliver(db, env)]
    assert (0, [(f"reply {env.event_id}", 0)]) == (effects(db, "taken"), bus.sent)


@pytest.mark.parametrize(("problem", "saga"), [(Unavailable, True), (NotFound, False)])
def test_other_problems_are_tried_again(
    db: Database, bus: RecordingBus, problem: type[Problem], saga: bool
) -> None:
    """A 503 answers no saga, and an event has nobody to answer: the broker delivers again."""
    env = command(Book(thing="later")) if saga else event("later")
    raises["later"] = problem
    with pytest.raises(problem):
        deliver(db, env)
    assert (0, []) == (effects(db, "later"), bus.sent)


def test_an_undo_before_its_do_makes_the_do_ineffective(db: Database) -> None:
    """The late ``do`` is a duplicate: what was undone never happens."""
    do = command(Book(thing="undone"))
    undo = command(Unbook(thing="undone"), "undo", do.event_id)
    assert ["handled", "duplicate", "duplicate"] == [
        deliver(db, undo),
        deliver(db, do),
        deliver(db, undo),
    ]
    assert 0 == effects(db, "undone")


def test_only_an_undo_cancels(db: Database) -> None:
    """Neither an event nor a ``do`` can keep another message from taking effect."""
    victim = event("victim")
    context = command(Book(thing="v"), "undo", victim.event_id).metadata.saga
    assert context is not None
    assert "handled" == deliver(db, event("evil", saga=context.model_dump(mode="json")))
    assert "handled" == deliver(db, command(Book(thing="evil"), "do", victim.event_id))
    assert "handled" == deliver(db, victim)


def test_waiting_too_long_for_another_delivery_is_503(
    url: str, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery that waits for a stuck one gives up, and the broker comes back later."""
    monkeypatch.setattr("shared.inbox.LOCK_TIMEOUT", "100ms")
    env = event("stuck")
    failure: list[BaseException] = []

    def second() -> None:
        with database(url, Outbox("consumer", RecordingBus())) as mine:
            try:
                deliver(mine, env)
            except LockTimeout as error:
                failure.append(error)

    def hold(tx: Tx) -> None:
        tx.run("insert into inbox (event_id) values (:id)", id=env.event_id)
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(10)
        raise LookupError

    with pytest.raises(LookupError):
        db.transaction(hold)
    assert [LockTimeout] == [type(error) for error in failure]
    assert "handled" == deliver(db, env)


def test_replies_follow_their_cause(db: Database, bus: RecordingBus) -> None:
    """What a handler sends names its cause, keeps the correlation, and is stamped later."""
    kept: list[Any] = []
    bus.record = kept.extend  # type: ignore[method-assign, assignment]
    ahead = clocks.Hlc(lambda: datetime(2099, 1, 1, tzinfo=UTC)).tick()
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    own = clocks._hlc
    clocks._hlc = clocks.Hlc()
    try:
        env = event("caused", hlc=ahead, correlation_id="request-77", traceparent=trace)
        assert "handled" == deliver(db, env)
    finally:
        clocks._hlc = own
    sent = Envelope.parse(kept[0].to_json()).metadata
    assert ("request-77", str(env.event_id), trace) == (
        sent.correlation_id,
        sent.causation_id,
        sent.traceparent,
    )
    assert ahead < sent.hlc
    assert [env.metadata] == seen


def test_a_broken_trace_is_forgotten() -> None:
    """A malformed traceparent neither stops a message nor travels on."""
    assert event("x", traceparent="garbage").metadata.traceparent is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["MOVED", "BOOK", str(uuid4()), "2026-01-15T10:30:00Z", 10**400]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["thing", "to", "notes", "saga", "where"]) | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A good envelope of which some members are anything or missing."""
    read: dict[str, Any] = json.loads(event("fuzz").to_json())
    read["event_id"] = str(uuid4())
    for part in (read, read["metadata"], read["payload"]):
        for name in draw(st.lists(st.sampled_from(sorted(part)), max_size=2, unique=True)):
            if part is read and name in ("metadata", "payload") and draw(st.booleans()):
                continue
            if draw(st.booleans()):
                part[name] = draw(JSON)
            else:
                part.pop(name, None)
    return read


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.composite(mutated)() | JSON)
def test_hostile_envelopes_are_rejected(db: Database, body: Any) -> None:
    """Whatever JSON arrives, it is handled, unknown or rejected; nothing else is raised."""
    own = clocks._hlc
    clocks._hlc = clocks.Hlc()
    try:
        env = Envelope.parse(json.dumps(body))
        outcome = deliver(db, env, TOPIC)
    except Reject:
        return
    finally:
        clocks._hlc = own
    assert outcome in ("handled", "duplicate", "unknown", "rejected")
    if outcome == "rejected":
        assert letter(db, env.event_id) is not None


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=200) | st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b""])
)
def test_bytes_that_are_no_envelope_are_rejected(data: bytes) -> None:
    """No bytes make the parser raise anything but Reject."""
    with pytest.raises(Reject):
        Envelope.parse(data)
