"""What tests of services use: a clock that stands still, a bus in memory, sagas by dialogue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic_core import from_json, to_json

from shared.clocks import clock, set_clock
from shared.errors import Problem
from shared.messages import Command
from shared.saga_plan import Saga, SagaData
from shared.saga_rules import Decision, Due, Replied, Resume, begin, decide
from shared.testing_bus import MemoryBus

__all__ = ["FrozenClock", "MemoryBus", "SagaTest", "frozen"]


class FrozenClock:
    """A clock that only tests move."""

    def __init__(self, at: datetime = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)) -> None:
        self._now = at

    def now(self) -> datetime:
        """The present, aware and in UTC."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Let time pass; the new present."""
        self._now += by
        return self._now


@contextmanager
def frozen(at: datetime | None = None) -> Iterator[FrozenClock]:
    """Stop the process's clock for a block, now or ``at`` a moment."""
    standing = FrozenClock(at or clock().now())
    old = set_clock(standing)
    try:
        yield standing
    finally:
        set_clock(old)


class SagaTest:
    """A dialogue with a saga, without a database::

    SagaTest(registration).given(person_id=person, email="ana@example.org")
        .expect(CreateUser(person_id=person)).reply()
        .expect(CreatePatient(...)).reply(Conflict)
        .expect(RemoveUser(person_id=person)).reply()
        .ended("FAILED")
    """

    def __init__(self, saga: Saga, at: datetime = datetime(2026, 1, 15, tzinfo=UTC)) -> None:
        self._saga = saga
        self._now = at
        self._data: SagaData = {}
        self._decision: Decision | None = None

    def given(self, **data: Any) -> SagaTest:
        """Start the saga with ``data``."""
        self._data = from_json(to_json(data))
        self._decision = begin(self._saga, self._now)
        return self

    def expect(self, command: Command) -> SagaTest:
        """The saga has just sent exactly ``command``."""
        assert command == self._sent()
        return self

    def expect_nothing(self) -> SagaTest:
        """The saga has just sent nothing."""
        assert self._sent() is None
        return self

    def reply(
        self,
        refusal: type[Problem] | Problem | None = None,
        *,
        after: timedelta = timedelta(),
    ) -> SagaTest:
        """The step at hand is done, or refused with ``refusal``, heard of ``after`` a while."""
        self._now += after
        state = self._current.state
        at = state.hand
        assert at is not None, f"the saga has ended: {state.status}"
        problem = refusal() if isinstance(refusal, type) else refusal
        answer = Replied(
            self._saga.steps[at].name,
            state.action,
            "REFUSED" if problem else "DONE",
            problem.to_dict()["type"] if problem else None,
        )
        self._decision = decide(self._saga, state, answer, self._now)
        return self

    def wait(self, by: timedelta) -> SagaTest:
        """Nothing is heard for a while; the schedule looks once, at its end."""
        self._now += by
        self._decision = decide(self._saga, self._current.state, Due(), self._now)
        return self

    def resume(self) -> SagaTest:
        """An operator resumes the parked saga."""
        self._decision = decide(self._saga, self._current.state, Resume(), self._now)
        return self

    def ended(self, status: Literal["COMPLETED", "FAILED", "PARKED"]) -> SagaTest:
        """The saga came to this end."""
        assert status == self._current.state.status
        return self

    @property
    def states(self) -> dict[str, str]:
        """Step name -> state."""
        names = (step.name for step in self._saga.steps)
        return dict(zip(names, self._current.state.states, strict=True))

    @property
    def _current(self) -> Decision:
        assert self._decision is not None, "call given() first"
        return self._decision

    def _sent(self) -> Command | None:
        send = self._current.send
        return self._saga.steps[send.index].command(send.action, self._data) if send else None
