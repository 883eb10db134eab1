"""Sagas as data: a list of steps, and the pure rules of what happens next.

Garcia-Molina and Salem, "Sagas" (1987), with a pivot: before it a failure undoes what was done,
in reverse; from the pivot on the only way is forward. Nothing here does I/O: ``decide`` maps a
state and an event to a state and at most one command to send.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol, get_type_hints
from uuid import UUID, uuid5

from shared.db import Tx
from shared.messages import Command

__all__ = ["Action", "Build", "Retry", "Saga", "SagaData", "Starter", "Step", "message_id"]

SagaData = dict[str, Any]
"""What a saga knows, as plain JSON: a UUID or a date in it has become text."""
Action = Literal["do", "undo"]
Build = type[Command] | Callable[[SagaData], Command]
"""A command class, filled from the data's keys of its fields' names, or a function of the data
that is annotated with the command it returns."""


@dataclass(frozen=True)
class Retry:
    """Send again after ``every``, then twice as long and so on up to ``longest``.

    ``attempts`` counts the first sending; when they are used up and no answer came, the step has
    failed.
    """

    every: timedelta = timedelta(seconds=5)
    attempts: int = 10
    longest: timedelta = timedelta(minutes=10)

    def pause(self, attempts: int) -> timedelta:
        """How long to wait after that many sendings."""
        return min(self.every * float(2 ** min(attempts - 1, 30)), self.longest)


@dataclass(frozen=True)
class Step:
    """One command to one service, and the command that takes it back.

    ``undo`` must also succeed where its ``do`` never took effect. ``pivot`` marks the step after
    which there is no way back; it and the steps behind it are repeated until they succeed. An
    ``optional`` step's failure changes nothing. ``timeout`` limits all attempts of ``do``.
    """

    name: str
    do: Build
    undo: Build | None = None
    pivot: bool = False
    optional: bool = False
    retry: Retry = Retry()
    timeout: timedelta | None = None

    def command_class(self, action: Action) -> type[Command]:
        """What ``do`` or ``undo`` sends. Raises TypeError where the builder does not say."""
        build = self.do if action == "do" else self.undo
        cls = build if inspect.isclass(build) else get_type_hints(build).get("return")
        if not (inspect.isclass(cls) and issubclass(cls, Command)):
            raise TypeError(f"step {self.name}: annotate the Command that {action} returns")
        return cls

    @property
    def commands(self) -> tuple[type[Command], ...]:
        """All that this step may send."""
        actions: tuple[Action, ...] = ("do", "undo") if self.undo is not None else ("do",)
        return tuple(self.command_class(action) for action in actions)

    def command(self, action: Action, data: SagaData) -> Command:
        """The command for a saga that knows ``data``; the same whenever it is asked for."""
        build = self.do if action == "do" else self.undo
        if build is None:
            raise TypeError(f"step {self.name} has no {action}")
        if isinstance(build, type):
            cls: type[Command] = build
            return cls.model_validate(data)
        return build(data)


class Starter(Protocol):
    """What a saga needs of its orchestrator (shared/saga.py)."""

    def start(
        self, saga: Any, tx: Tx, data: SagaData, subject: UUID, saga_id: UUID | None = None
    ) -> UUID:
        """Begin a saga in ``tx``."""

    def show(self, saga_id: UUID) -> dict[str, Any] | None:
        """One saga with its steps and its timeline."""


@dataclass(frozen=True, init=False, eq=False)
class Saga:
    """A saga's definition. Raises TypeError for one that could not be carried out."""

    name: str
    steps: tuple[Step, ...]
    deadline: timedelta | None
    """From the start; once it is over and the pivot was not sent, the saga is undone."""
    pivot: int
    """Index of the pivot; the number of steps where there is none."""
    fingerprint: str
    _bound: list[Starter] = field(repr=False)

    def __init__(self, name: str, *steps: Step, deadline: timedelta | None = None) -> None:
        pivots = [i for i, step in enumerate(steps) if step.pivot]
        values: dict[str, Any] = {
            "name": name,
            "steps": steps,
            "deadline": deadline,
            "pivot": pivots[0] if pivots else len(steps),
            "_bound": [],
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)
        self._check(pivots)
        object.__setattr__(self, "fingerprint", self._fingerprint())

    def _check(self, pivots: list[int]) -> None:
        if not self.steps or len({step.name for step in self.steps}) != len(self.steps):
            raise TypeError(f"saga {self.name}: its steps need names of their own")
        if len(pivots) > 1:
            raise TypeError(f"saga {self.name} has more than one pivot")
        for i, step in enumerate(self.steps):
            where = f"saga {self.name}, step {step.name}"
            if step.retry.attempts < 1:
                raise TypeError(f"{where}: at least one attempt")
            if step.pivot and step.optional:
                raise TypeError(f"{where}: a pivot is not optional")
            if i < self.pivot and step.undo is None and not step.optional:
                raise TypeError(f"{where}: it comes before the pivot and needs an undo")
            if i >= self.pivot and step.undo is not None:
                raise TypeError(f"{where}: from the pivot on nothing is undone")
            if len({command.topic() for command in step.commands}) > 1:
                raise TypeError(f"{where}: who does it must undo it")

    def _fingerprint(self) -> str:
        """What a saga under way depends on; another fingerprint means another saga."""
        shape = [
            (s.name, [command.type_name() for command in s.commands], s.pivot, s.optional)
            for s in self.steps
        ]
        return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]

    @property
    def topics(self) -> frozenset[str]:
        """The services that take part: they answer on their own topics."""
        return frozenset(step.command_class("do").topic() for step in self.steps)

    def bind(self, orchestrator: Starter) -> None:
        """Let ``orchestrator`` carry this saga out from now on."""
        self._bound[:] = [orchestrator]

    def start(self, tx: Tx, *, data: SagaData, subject: UUID, saga_id: UUID | None = None) -> UUID:
        """Begin in the use case's transaction and return the saga's id.

        Local first steps run at once; their Problem is the caller's. ``data`` is kept encrypted
        until the saga ends. Raises UniqueViolation when ``saga_id`` was used before.
        """
        return self._orchestrator().start(self, tx, data, subject, saga_id)

    def show(self, saga_id: UUID) -> dict[str, Any] | None:
        """A saga of this definition with its steps and its timeline; None for any other id."""
        found = self._orchestrator().show(saga_id)
        return found if found is not None and found["name"] == self.name else None

    def _orchestrator(self) -> Starter:
        if not self._bound:
            raise RuntimeError(
                f"saga {self.name} belongs to no service: give it to a Service, or in a test to"
                " an Orchestrator"
            )
        return self._bound[0]


def message_id(saga_id: UUID, step: str, action: Action, round_: int) -> UUID:
    """The event id of a command: sent again it is the same message, which the inbox drops.

    A refused command is tried anew in another round, as another message.
    """
    return uuid5(saga_id, f"{action} {round_} {step}")
