"""The inbox: each message takes effect once, together with what it sends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from shared import clocks
from shared.db import Database, LockTimeout, Tx
from shared.errors import Conflict, NotFound, Problem, Unavailable
from shared.idempotency import IdempotencyInProgress
from shared.messages import Envelope, envelope
from shared.outbox import Outbox
from shared.traces import parsed
from tests.integration.inbox_stack import (
    TOPIC,
    Book,
    Unbook,
    command,
    deliver,
    effects,
    event,
    letter,
    raises,
    seen,
)
from tests.integration.outbox_stack import RecordingBus, Ticked, aggregates, database


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


def test_deliveries_at_once_take_effect_once(url: str, db: Database, bus: RecordingBus) -> None:
    """Of twenty deliveries at the same time one is handled, nineteen are duplicates."""
    env, outcomes = event("crowd"), []
    start = threading.Barrier(20)

    def run() -> None:
        with database(url, Outbox("consumer", bus)) as mine:
            mine.one("select 1")
            start.wait(60)
            outcome = None
            while outcome is None:
                # Who waited too long is asked again, as a broker does.
                with suppress(LockTimeout):
                    outcome = deliver(mine, env, TOPIC)
            outcomes.append(outcome)

    threads = [threading.Thread(target=run) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
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


def test_a_request_in_progress_refuses_no_command(db: Database, bus: RecordingBus) -> None:
    """A redrive that is repeated too early is turned away before the handler is asked: that is
    the caller's answer, and none to the saga."""
    env, asked = command(Book(thing="early")), 0

    def claim(_: Tx) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise IdempotencyInProgress

    with db.holding(claim), pytest.raises(IdempotencyInProgress):
        deliver(db, env)
    assert (1, 0, []) == (asked, effects(db, "early"), bus.sent)


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
        thread.join(25)  # the server ends a transaction that does nothing for longer
        raise LookupError

    with pytest.raises(LookupError):
        db.transaction(hold)
    assert [LockTimeout] == [type(error) for error in failure]
    assert "handled" == deliver(db, env)


def test_replies_follow_their_cause(db: Database, bus: RecordingBus) -> None:
    """What a handler sends names its cause, keeps the correlation and, under a span of its own,
    the trace, and is stamped later."""
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
    assert ("request-77", str(env.event_id)) == (sent.correlation_id, sent.causation_id)
    here, own_span = (parsed(text) for text in (trace, sent.traceparent))
    assert here is not None
    assert own_span is not None
    assert (here[0], here[2]) == (own_span[0], own_span[2])
    assert here[1] != own_span[1]
    assert ahead < sent.hlc
    assert [env.metadata] == seen


def test_a_broken_trace_is_forgotten() -> None:
    """A malformed traceparent neither stops a message nor travels on."""
    assert event("x", traceparent="garbage").metadata.traceparent is None
