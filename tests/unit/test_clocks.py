"""The clocks: the seam for "now" and the hybrid logical clock."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from shared.clocks import Hlc, SystemClock, clock, hlc, set_clock

START = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
INSTANCES = st.integers(0, 3)
SKEWS = st.integers(-300_000, 300_000)


class Stopped:
    """A clock that shows what it is told."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def test_system_clock_is_aware() -> None:
    """The system clock tells the time in UTC and knows it."""
    assert timedelta(0) == SystemClock().now().utcoffset()


def test_set_clock_replaces_and_returns_the_old_one() -> None:
    """A clock can be put in for a test, drives the process's stamps, and is put back."""
    fixed = Stopped(datetime(2200, 1, 1, tzinfo=UTC))
    own = Hlc()
    old = set_clock(fixed)
    try:
        assert fixed is clock()
        assert "2200-01-01T00:00:00.000Z-0000" == own.tick()
    finally:
        assert fixed is set_clock(old)
    assert hlc().tick() < hlc().tick()


def test_stamps_within_a_millisecond_are_counted() -> None:
    """Ticks that share a millisecond differ by their counter."""
    own = Hlc(lambda: START + timedelta(milliseconds=123, microseconds=999))
    assert "2026-01-15T10:30:00.123Z-0000" == own.tick()
    assert "2026-01-15T10:30:00.123Z-0001" == own.tick()


def test_counter_overflow_moves_the_millisecond_on() -> None:
    """After counter 9999 the next stamp borrows the next millisecond."""
    own = Hlc(lambda: START)
    own.observe("2026-01-15T10:30:00.999Z-9999")
    assert "2026-01-15T10:30:01.000Z-0000" == own.tick()


def test_an_old_stamp_changes_nothing() -> None:
    """Observing the past does not turn the clock back."""
    own = Hlc(lambda: START)
    first = own.tick()
    own.observe("2020-01-01T00:00:00.000Z-0000")
    assert first < own.tick()


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "2026-01-15T10:30:00.123Z",
        "2026-01-15T10:30:00.123Z-7",
        "2026-02-30T10:30:00.123Z-0007",
        "2026-01-15T10:30:00.123Z-0007\n",
        "2026-01-15T10:30:00.12\u0663Z-0007",
        "9999-12-31T23:59:59.999Z-9999",
    ],
)
def test_malformed_stamps_are_refused(stamp: str) -> None:
    """A stamp that could not be ours, or leaves no room after it, raises ValueError."""
    with pytest.raises(ValueError, match=r"stamp|day"):
        Hlc().observe(stamp)


@given(st.lists(st.tuples(st.integers(0, 4_000_000_000_000), st.integers(0, 9999)), min_size=2))
def test_text_order_is_time_order(moments: list[tuple[int, int]]) -> None:
    """Stamps sort as text exactly as they sort in time."""
    stamps = []
    for ms, count in moments:
        own = Hlc(lambda: datetime(1970, 1, 1, tzinfo=UTC))
        if count:
            before = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
            head = before.strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03d}Z"
            own.observe(f"{head}-{count - 1:04d}")
            stamps.append(((ms, count), own.tick()))
    assert [text for _, text in sorted(stamps)] == sorted(text for _, text in stamps)


def test_threads_never_share_a_stamp() -> None:
    """Threads that tick at once all get different, rising stamps."""
    own = Hlc(lambda: START)
    taken: list[list[str]] = [[] for _ in range(4)]

    def tick(mine: list[str]) -> None:
        mine.extend(own.tick() for _ in range(500))

    threads = [threading.Thread(target=tick, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 2000 == len({stamp for mine in taken for stamp in mine})
    assert all(sorted(mine) == mine for mine in taken)


@dataclass
class Instance:
    """One process with its own idea of the time; dying loses all it knows."""

    skew: int
    time: list[int]
    hlc: Hlc = field(init=False)

    def __post_init__(self) -> None:
        self.restart(self.skew)

    def restart(self, skew: int) -> None:
        """Come back as a new process, possibly on a machine with another clock."""
        self.skew = skew
        self.hlc = Hlc(lambda: START + timedelta(milliseconds=self.time[0] + self.skew))


STEPS = st.one_of(
    st.tuples(st.just("send"), INSTANCES, st.integers(0, 50)),
    st.tuples(st.just("handle"), INSTANCES, st.integers(0, 50)),
    st.tuples(st.just("write"), INSTANCES, st.integers(0, 50)),
    st.tuples(st.just("die"), INSTANCES, SKEWS),
    st.tuples(st.just("wait"), INSTANCES, st.integers(1, 60_000)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(SKEWS, min_size=4, max_size=4), st.lists(STEPS, max_size=60))
def test_effects_are_later_than_causes(skews: list[int], steps: list[tuple[str, int, int]]) -> None:
    """With clocks five minutes apart and instances dying, no effect is stamped before its cause."""
    time = [0]
    instances = [Instance(skew, time) for skew in skews]
    sent: list[str] = []
    row: str | None = None
    for what, who, number in steps:
        instance = instances[who]
        if what == "send":
            sent.append(instance.hlc.tick())
        elif what == "handle" and sent:
            cause = sent[number % len(sent)]
            instance.hlc.observe(cause)
            effect = instance.hlc.tick()
            assert cause < effect
            sent.append(effect)
        elif what == "write":
            if row is not None:
                instance.hlc.observe(row)
            new = instance.hlc.tick()
            assert row is None or row < new
            row = new
        elif what == "die":
            instance.restart(number)
        elif what == "wait":
            time[0] += number


class Fleet(RuleBasedStateMachine):
    """Instances that hand each other messages and may die with one in their hands."""

    messages = Bundle("messages")

    def __init__(self) -> None:
        super().__init__()
        self.time = [0]
        self.instances = [Instance(0, self.time) for _ in range(4)]
        self.cause: dict[str, str] = {}

    @rule(target=messages, who=INSTANCES)
    def begin(self, who: int) -> str:
        """Somebody asks for something: a message without a cause."""
        return self.instances[who].hlc.tick()

    @rule(target=messages, who=INSTANCES, message=messages)
    def handle(self, who: int, message: str) -> str:
        """A message (perhaps delivered before) is read and leads to another."""
        self.instances[who].hlc.observe(message)
        effect = self.instances[who].hlc.tick()
        self.cause[effect] = message
        return effect

    @rule(
        target=messages, who=INSTANCES, next_who=INSTANCES, skew=SKEWS, message=consumes(messages)
    )
    def die_holding(self, who: int, next_who: int, skew: int, message: str) -> str:
        """An instance dies after it read a message; the redelivery reaches another one."""
        self.instances[who].hlc.observe(message)
        self.instances[who].restart(skew)
        self.instances[next_who].hlc.observe(message)
        effect = self.instances[next_who].hlc.tick()
        self.cause[effect] = message
        return effect

    @rule(who=INSTANCES, skew=SKEWS)
    def die(self, who: int, skew: int) -> None:
        """An idle instance is scaled away and a new one starts with another clock."""
        self.instances[who].restart(skew)

    @rule(ms=st.integers(1, 600_000))
    def wait(self, ms: int) -> None:
        """True time goes on."""
        self.time[0] += ms

    @invariant()
    def effects_follow_causes(self) -> None:
        """Every effect so far carries a later stamp than its cause."""
        assert all(cause < effect for effect, cause in self.cause.items())


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
