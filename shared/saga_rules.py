"""What a saga does next: a pure function of its state and an event.

While a saga is under way exactly one step is RUNNING or UNDOING: the step at hand. Answers of
any other step are late and change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from shared.saga_plan import Action, Saga

__all__ = [
    "Decision",
    "Due",
    "Entry",
    "Happening",
    "Replied",
    "Resume",
    "Send",
    "State",
    "begin",
    "decide",
    "park",
]

Status = Literal["RUNNING", "COMPENSATING", "COMPLETED", "FAILED", "PARKED"]
StepState = Literal["PENDING", "RUNNING", "DONE", "REFUSED", "UNDOING", "UNDONE", "SKIPPED"]


@dataclass(frozen=True)
class State:
    """Where one saga stands."""

    status: Status
    states: tuple[StepState, ...]
    since: datetime
    """When the command at hand was first sent."""
    deadline_at: datetime | None = None
    wake_at: datetime | None = None
    """When to look again if nothing comes; None when there is nothing to wait for."""
    round: int = 0
    """How often the command at hand was refused."""
    attempts: int = 0
    """How often the command at hand was sent."""
    error: str | None = None

    @property
    def hand(self) -> int | None:
        """Index of the step at hand; None when the saga has ended."""
        return next((i for i, s in enumerate(self.states) if s in {"RUNNING", "UNDOING"}), None)

    @property
    def action(self) -> Action:
        """What is asked of the step at hand."""
        return "undo" if "UNDOING" in self.states else "do"

    @property
    def ended(self) -> bool:
        """Nothing will happen any more."""
        return self.status in {"COMPLETED", "FAILED"}


@dataclass(frozen=True)
class Replied:
    """A participant's answer; ``problem`` is the refusal's type."""

    step: str
    action: Action
    outcome: Literal["DONE", "REFUSED"]
    problem: str | None = None


@dataclass(frozen=True)
class Due:
    """Time has passed."""


@dataclass(frozen=True)
class Resume:
    """An operator lets a parked saga try again."""


Happening = Replied | Due | Resume


@dataclass(frozen=True)
class Entry:
    """A line of the timeline; nothing personal in it."""

    event: str
    step: str | None = None
    action: Action | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Send:
    """Have step number ``index`` do or undo its part."""

    index: int
    action: Action
    round: int


@dataclass(frozen=True)
class Decision:
    """The new state, the command to send if any, and what to note."""

    state: State
    send: Send | None = None
    log: tuple[Entry, ...] = ()

    def after(self, *entries: Entry) -> Decision:
        """The same with ``entries`` noted first."""
        return replace(self, log=entries + self.log)


def begin(saga: Saga, now: datetime) -> Decision:
    """Start: the first step is sent."""
    state = State(
        status="RUNNING",
        states=tuple("PENDING" for _ in saga.steps),
        since=now,
        deadline_at=now + saga.deadline if saga.deadline is not None else None,
    )
    return _forward(saga, state, 0, now).after(Entry("started"))


def decide(saga: Saga, state: State, happening: Happening, now: datetime) -> Decision:
    """What ``happening`` means for a saga in ``state``."""
    match happening:
        case Replied():
            return _replied(saga, state, happening, now)
        case Due():
            return _due(saga, state, now)
        case Resume():
            return _resume(saga, state, now)


def park(state: State, reason: str) -> Decision:
    """Stop and wait for a person; ``resume`` goes on with the step at hand."""
    return Decision(
        replace(state, status="PARKED", wake_at=None, error=reason),
        log=(Entry("parked", detail=reason),),
    )


def _replied(saga: Saga, state: State, reply: Replied, now: datetime) -> Decision:
    at = state.hand
    entry = Entry(reply.outcome.lower(), reply.step, reply.action, reply.problem)
    if at is None or (saga.steps[at].name, state.action) != (reply.step, reply.action):
        return Decision(state, log=(replace(entry, event="late"),))
    step = saga.steps[at]
    undoing = reply.action == "undo"
    if reply.outcome == "DONE":
        # Also for a parked saga: what it was parked for has just happened after all.
        state = _with(state, at, "UNDONE" if undoing else "DONE")
        turn = (
            _backward(saga, state, at - 1, now) if undoing else _forward(saga, state, at + 1, now)
        )
        return turn.after(entry)
    if not undoing and step.optional:
        return _forward(saga, _with(state, at, "REFUSED"), at + 1, now).after(entry)
    if not undoing and at < saga.pivot:
        state = replace(_with(state, at, "REFUSED"), error=f"{step.name}: {reply.problem}")
        return _backward(saga, state, at - 1, now).after(entry)
    state = replace(state, round=state.round + 1)
    if state.status != "PARKED" and state.attempts >= step.retry.attempts:
        return park(state, f"{reply.action} {step.name}: {reply.problem}").after(entry)
    wake = None if state.status == "PARKED" else now + step.retry.pause(state.attempts)
    return Decision(replace(state, wake_at=wake), log=(entry,))


def _due(saga: Saga, state: State, now: datetime) -> Decision:
    at = state.hand
    if at is None or state.wake_at is None or state.wake_at > now:
        return Decision(state)
    step, action = saga.steps[at], state.action
    if action == "do" and at < saga.pivot and _over(state.deadline_at, now):
        late = replace(state, error="deadline")
        return _backward(saga, late, at, now).after(Entry("deadline", step.name, action))
    timed_out = action == "do" and step.timeout is not None and now >= state.since + step.timeout
    if state.attempts < step.retry.attempts and not timed_out:
        again = _asked(saga, state, at, now, attempts=state.attempts + 1)
        return again.after(Entry("repeated", step.name, action))
    entry = Entry("no answer", step.name, action)
    if action == "do" and step.optional:
        return _forward(saga, _with(state, at, "SKIPPED"), at + 1, now).after(entry)
    if action == "do" and at < saga.pivot:
        # Nobody knows whether it took effect, so it is undone like the steps before it.
        lost = replace(state, error=f"{step.name}: no answer")
        return _backward(saga, lost, at, now).after(entry)
    return park(state, f"{action} {step.name}: no answer").after(entry)


def _resume(saga: Saga, state: State, now: datetime) -> Decision:
    at = state.hand
    if state.status != "PARKED" or at is None:
        return Decision(state)
    running = replace(
        state,
        status="COMPENSATING" if state.action == "undo" else "RUNNING",
        since=now,
        error=None,
    )
    again = _asked(saga, running, at, now, attempts=1)
    return again.after(Entry("resumed", saga.steps[at].name, state.action))


def _forward(saga: Saga, state: State, at: int, now: datetime) -> Decision:
    """Do step ``at``, or be complete."""
    if at == len(saga.steps):
        done = replace(state, status="COMPLETED", wake_at=None, error=None)
        return Decision(done, log=(Entry("completed"),))
    if at <= saga.pivot and _over(state.deadline_at, now):
        late = replace(state, error="deadline")
        return _backward(saga, late, at - 1, now).after(Entry("deadline"))
    state = replace(_with(state, at, "RUNNING"), status="RUNNING", round=0, since=now)
    return _asked(saga, state, at, now, attempts=1).after(Entry("sent", saga.steps[at].name, "do"))


def _backward(saga: Saga, state: State, at: int, now: datetime) -> Decision:
    """Undo the latest step up to ``at`` that may have taken effect, or have failed cleanly."""
    states: list[StepState] = ["SKIPPED" if s == "PENDING" else s for s in state.states]
    while at >= 0 and (saga.steps[at].undo is None or states[at] == "REFUSED"):
        if states[at] == "RUNNING":
            states[at] = "SKIPPED"
        at -= 1
    state = replace(state, states=tuple(states))
    if at < 0:
        return Decision(replace(state, status="FAILED", wake_at=None), log=(Entry("failed"),))
    state = replace(_with(state, at, "UNDOING"), status="COMPENSATING", round=0, since=now)
    entry = Entry("sent", saga.steps[at].name, "undo")
    return _asked(saga, state, at, now, attempts=1).after(entry)


def _asked(saga: Saga, state: State, at: int, now: datetime, *, attempts: int) -> Decision:
    """Send the command at hand and say when to look again."""
    step, action = saga.steps[at], state.action
    wake = now + step.retry.pause(attempts)
    if action == "do" and step.timeout is not None:
        wake = min(wake, state.since + step.timeout)
    if action == "do" and at < saga.pivot and state.deadline_at is not None:
        wake = min(wake, state.deadline_at)
    state = replace(state, attempts=attempts, wake_at=wake)
    return Decision(state, Send(at, action, state.round))


def _with(state: State, at: int, step: StepState) -> State:
    return replace(state, states=(*state.states[:at], step, *state.states[at + 1 :]))


def _over(deadline: datetime | None, now: datetime) -> bool:
    return deadline is not None and now >= deadline
