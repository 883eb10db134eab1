"""Which message may be pushed next, and what follows from how a push ended."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import UTC, datetime

import pytest

from infra.local import dispatch_queue
from infra.local.dispatch_queue import Delivery, DispatchQueue, Outcome, Verdict
from shared.bus import Subscription

PATIENT = Subscription(
    "patient.auth",
    "auth",
    "patient",
    "http://patient/",
    dead_letter_topic="patient.dead-letters",
    max_attempts=3,
    min_backoff=0.01,
)
TREATMENT = Subscription("treatment.auth", "auth", "treatment", "http://treatment/")
_ids = itertools.count(1)


def delivery(key: str | None = None, subscription: Subscription = PATIENT) -> Delivery:
    """A delivery with the next row id."""
    now = datetime(2026, 1, 15, tzinfo=UTC)
    return Delivery(next(_ids), subscription, key, "1", "", {}, now, attempts=0)


def queue(pushers: int = 8, limit: int = 1000, lane_limit: int = 100) -> DispatchQueue:
    """A queue whose ``wakes`` nobody hears."""
    return DispatchQueue(pushers=pushers, wake=lambda: None, limit=limit, lane_limit=lane_limit)


def take(from_queue: DispatchQueue) -> Delivery:
    """The next delivery, of which there must be one."""
    found = from_queue.next()
    assert found is not None
    return found


def test_only_the_head_of_a_key_is_out() -> None:
    """The second message of a key comes when the first was acknowledged, not before."""
    q, (first, second, other) = queue(), (delivery("k"), delivery("k"), delivery("l"))
    q.add([first, second, other])
    assert [first, other] == [take(q), take(q)]
    assert Verdict.DELETE is q.done(first, Outcome.ACKNOWLEDGED)
    assert second is take(q)


def test_a_failed_head_returns_before_its_followers() -> None:
    """A failure counts, waits, and keeps its place."""
    q, (first, second) = queue(), (delivery("k"), delivery("k"))
    q.add([first, second])
    begun = time.monotonic()
    assert Verdict.COUNT is q.done(take(q), Outcome.FAILED)
    assert first is take(q)
    assert time.monotonic() - begun >= PATIENT.min_backoff
    assert 1 == first.attempts


def test_the_last_attempt_frees_the_key() -> None:
    """After ``max_attempts`` failures the message is a dead letter and its key goes on."""
    q, (poison, second) = queue(), (delivery("k"), delivery("k"))
    q.add([poison, second])
    verdicts = [q.done(take(q), Outcome.FAILED) for _ in range(3)]
    assert [Verdict.COUNT, Verdict.COUNT, Verdict.DEAD_LETTER] == verdicts
    assert second is take(q)


def test_an_unreachable_service_costs_no_attempt() -> None:
    """While nobody listens nothing is counted; the service is probed with one message."""
    q, waiting = queue(), [delivery(f"k{n}") for n in range(5)]
    q.add(waiting)
    for _ in range(4):
        probe = take(q)
        assert Verdict.NOTHING is q.done(probe, Outcome.UNREACHABLE)
        assert waiting[0] is probe
    assert 0 == probe.attempts


def test_an_unreachable_service_pauses_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages of other services do not wait for it."""
    for pause in ("_SHORTEST_PAUSE", "_LONGEST_PAUSE"):
        monkeypatch.setattr(dispatch_queue, pause, 3600.0)
    q, (down, up) = queue(), (delivery("k"), delivery("k", TREATMENT))
    q.add([down])
    q.done(take(q), Outcome.UNREACHABLE)
    q.add([up])
    end = threading.Timer(30, q.close)  # whoever waits for the pause finds nothing
    end.start()
    assert up is q.next()
    end.cancel()


def test_a_busy_service_is_excused_a_busy_message_is_not() -> None:
    """A 503 counts only when the service handled others since the message's last 503."""
    q, (hurt, fine) = queue(), (delivery("k"), delivery("l"))
    q.add([hurt])
    assert Verdict.NOTHING is q.done(take(q), Outcome.BUSY)
    assert Verdict.NOTHING is q.done(take(q), Outcome.BUSY)
    q.add([fine])
    assert fine is take(q)
    q.done(fine, Outcome.ACKNOWLEDGED)
    assert Verdict.COUNT is q.done(take(q), Outcome.BUSY)
    assert 1 == hurt.attempts


def test_a_silent_service_leaves_pushers_to_others() -> None:
    """One service has at most half of the pushers, and one once it left a push unanswered."""
    q = queue(pushers=4)
    q.add([delivery(f"k{n}") for n in range(5)])
    q.add([delivery("k", TREATMENT)])
    out = [take(q) for _ in range(3)]
    assert ["patient", "treatment", "patient"] == [d.subscription.service for d in out]
    q.done(out[0], Outcome.SILENT)
    q.add([delivery("l", TREATMENT)])
    assert "treatment" == take(q).subscription.service


def test_holds_no_more_than_its_limit() -> None:
    """Room shrinks with each message in memory and grows as they are settled."""
    q = queue(limit=3)
    q.add([delivery(), delivery()])
    assert 1 == q.room(PATIENT.name)
    q.done(take(q), Outcome.ACKNOWLEDGED)
    assert 2 == q.room(PATIENT.name)
    assert 3 == q.room(TREATMENT.name)


def test_a_row_that_is_here_is_not_added_twice() -> None:
    """A row taken again, or not yet settled, is passed over; once forgotten it may come again."""
    q, row = queue(), delivery()
    q.add([row, row])
    q.done(take(q), Outcome.ACKNOWLEDGED)
    q.add([row])
    assert [row.id] == q.known()
    assert 1000 == q.room(PATIENT.name)
    q.forget([row.id])
    assert [] == q.known()


def test_a_long_lane_spills_and_is_refilled() -> None:
    """Of a key with very many messages only the first are held; the rest follow in order."""
    q, rows = queue(lane_limit=4), [delivery("k") for _ in range(10)]
    q.add(rows)
    assert 996 == q.room(PATIENT.name)
    seen: list[Delivery] = []
    while len(seen) < 10:
        seen.append(take(q))
        q.done(seen[-1], Outcome.ACKNOWLEDGED)
        q.forget([seen[-1].id])
        for name, after in q.refills():
            rest = [row for row in rows if row.id > after][:4]
            q.refill(name, rest, complete=len(rest) < 4)
    assert rows == seen


def test_a_row_committed_late_is_not_lost_behind_a_spilled_lane() -> None:
    """A row with a smaller id than those in memory enters at once: no refill would find it."""
    q, late, rows = queue(lane_limit=2), delivery("k"), [delivery("k") for _ in range(5)]
    q.add(rows)
    q.add([late])
    assert late.id in q.known()


def test_closing_ends_the_waiting() -> None:
    """After ``close`` nobody waits for a message any more."""
    q = queue()
    q.close()
    assert q.next() is None


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.BUSY, Outcome.SILENT])
def test_messages_without_a_key_wait_for_none(outcome: Outcome) -> None:
    """Unordered messages overtake a failed one."""
    q, (failed, other) = queue(), (delivery(), delivery())
    q.add([failed, other])
    assert failed is take(q)
    q.done(failed, outcome)
    assert other is take(q)
