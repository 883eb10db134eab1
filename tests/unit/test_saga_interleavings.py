"""Any interleaving of what can happen to a saga ends well: a model of the kit around the rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.saga import Saga
from shared.saga_plan import message_id
from shared.saga_rules import Decision, Due, Replied, Resume, State, begin, decide
from tests import saga_contracts as c

START = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
THING = UUID("01980000-0000-7000-8000-000000000001")
SECONDS = timedelta(seconds=1)


@dataclass
class Model:
    """One saga, its participants' inboxes, and what is under way between them."""

    saga: Saga = field(default_factory=lambda: c.opening(deadline=100 * SECONDS))
    now: datetime = START
    inbox: set[UUID] = field(default_factory=set)
    answered: set[UUID] = field(default_factory=set)
    commands: list[tuple[str, str, UUID, UUID]] = field(default_factory=list)
    replies: list[tuple[UUID, Replied]] = field(default_factory=list)
    history: list[tuple[str, str]] = field(default_factory=list)
    """(action, step) of every effect, in order."""

    def __post_init__(self) -> None:
        self.state: State
        self.take(begin(self.saga, self.now))

    def take(self, decision: Decision) -> None:
        """The decision is committed, its command is under way."""
        self.state = decision.state
        if send := decision.send:
            step = self.saga.steps[send.index].name
            do = message_id(THING, step, "do", 0)
            sent = message_id(THING, step, send.action, send.round)
            self.commands.append((send.action, step, sent, do))

    def handle(self, index: int, *, refuse: bool, keep: bool) -> None:
        """A participant receives a command; ``keep`` has it delivered again."""
        action, step, event_id, do = self.commands[index % len(self.commands)]
        if not keep:
            self.commands.remove((action, step, event_id, do))
        if event_id in self.inbox:
            return
        self.inbox |= {event_id, do} if action == "undo" else {event_id}
        if not refuse:
            self.history.append((action, step))
        outcome = "REFUSED" if refuse else "DONE"
        self.replies.append((event_id, Replied(step, action, outcome, "p" if refuse else None)))  # type: ignore[arg-type]

    def hear(self, index: int, *, keep: bool, crash: bool) -> None:
        """An answer arrives; a crash before the commit leaves it to be delivered again."""
        reply_id, reply = self.replies[index % len(self.replies)]
        decision = decide(self.saga, self.state, reply, self.now)
        if crash:
            return
        if not keep:
            self.replies.remove((reply_id, reply))
        if reply_id not in self.answered:
            self.answered.add(reply_id)
            self.take(decision)

    def wait(self, seconds: int, *, crash: bool) -> None:
        """Time passes, the schedule looks."""
        self.now += seconds * SECONDS
        decision = decide(self.saga, self.state, Due(), self.now)
        if not crash:
            self.take(decision)

    def settle(self, *, refusing: bool) -> None:
        """From now on messages arrive and time passes, until nothing is left to happen."""
        for _ in range(200):
            while self.commands:
                self.handle(0, refuse=refusing, keep=False)
            while self.replies:
                self.hear(0, keep=False, crash=False)
            if self.state.wake_at is None and not self.commands:
                return
            if self.state.wake_at is not None and not self.commands:
                self.wait(max(0, int((self.state.wake_at - self.now) / SECONDS) + 1), crash=False)
        raise AssertionError(f"does not end: {self.state}")

    def check(self) -> None:
        """What must hold of every saga that has come to rest."""
        done = [step for action, step in self.history if action == "do"]
        required = [step.name for step in self.saga.steps if not step.optional]
        assert len(set(done)) == len(done), "a step took effect twice"
        assert ("undo", "settle") not in self.history
        if self.state.status == "COMPLETED":
            assert required == [step for step in done if step != "greet"]
            assert not [1 for action, _ in self.history if action == "undo"]
        elif self.state.status == "FAILED":
            assert "settle" not in done
            undone = [step for action, step in self.history if action == "undo"]
            order = [step for step in required if step in undone]
            assert order[::-1] == undone
            assert set(done) <= set(undone)
        else:
            assert "PARKED" == self.state.status
            assert self.state.action == "undo" or self.state.states[2] == "DONE"


# Mishaps are rarer than progress, or no saga would get far.
MISHAP = st.sampled_from([False, False, False, True])
KINDS = st.sampled_from(["command", "command", "reply", "wait", "wait", "lose"])
EVENTS = st.lists(st.tuples(KINDS, st.integers(0, 60), MISHAP, MISHAP), max_size=60)


@given(EVENTS, st.booleans())
@settings(max_examples=1500, deadline=None)
def test_every_interleaving_ends_well(events: list[tuple[str, int, bool, bool]], end: bool) -> None:
    """Whatever is refused, lost, doubled, reordered, late or crashes: all, nothing, or a person."""
    model = Model()
    for kind, number, first, second in events:
        if kind == "command" and model.commands:
            model.handle(number, refuse=first, keep=second)
        elif kind == "lose" and model.commands:
            model.commands.pop(number % len(model.commands))
        elif kind == "reply" and model.replies:
            model.hear(number, keep=first, crash=second)
        elif kind == "wait":
            model.wait(number, crash=first)
    model.settle(refusing=end)
    model.check()
    if model.state.status == "PARKED":
        model.take(decide(model.saga, model.state, Resume(), model.now))
        model.settle(refusing=False)
        model.check()
        assert model.state.ended, "nothing is in its way any more"
