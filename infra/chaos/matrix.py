"""Every fault point in every scenario with every action: what happens once must have happened once.

A cell arms one point in one process, lets a few people do their thing, waits until the fault has
happened, lets what stood still go on, and looks at the books when nothing is under way any more.
Points that a scenario cannot pass are armed everywhere meanwhile: that nobody passes them is a part
of what is checked, and so is that a point which should be passed was.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from infra.chaos.arm import Faults
from infra.chaos.books import Verdict, effects, judged, remains
from infra.chaos.histories import Histories
from infra.chaos.ledgers import Ledgers, ledgers_of
from infra.chaos.people import Patient, Visitor, at_once, somebody
from infra.chaos.scenarios import SCENARIOS, Scenario, register
from infra.local.stack import Stack
from shared.faults import POINTS

__all__ = ["REACHED", "Cell", "Matrix", "Result", "cells", "platform", "unreachable"]

REACHED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "registration": {
        "db.committing": ("auth.http", "patient.events"),
        "outbox.committed": ("auth.http",),
        "outbox.published": ("auth.http",),
        "inbox.handled": ("patient.events",),
        "inbox.committed": ("patient.events",),
        "saga.continued": ("auth.events",),
        "projection.applied": ("auth.events",),
        "mail.accepted": ("notification.events",),
    },
    "e-mail sync": {
        "db.committing": ("auth.http", "patient.events"),
        "outbox.committed": ("auth.http",),
        "outbox.published": ("auth.http",),
        "inbox.handled": ("patient.events",),
        "inbox.committed": ("patient.events",),
        "projection.applied": ("auth.http",),
        "mail.accepted": ("notification.events",),
    },
    "erasure": {
        "db.committing": ("auth.http", "patient.events"),
        "outbox.committed": ("auth.http",),
        "outbox.published": ("auth.http",),
        "inbox.handled": ("notification.events",),
        "inbox.committed": ("notification.events",),
        "erasure.requested": ("auth.http",),
        "erasure.recorded": ("auth.http",),
        "projection.applied": ("auth.events",),
    },
    "notification": {
        "db.committing": ("auth.http", "notification.events"),
        "outbox.committed": ("notification.events",),
        "outbox.published": ("notification.events",),
        "inbox.handled": ("notification.events",),
        "inbox.committed": ("notification.events",),
        "projection.applied": ("auth.http",),
        "mail.accepted": ("notification.events",),
    },
}
"""Scenario -> point -> the processes in which it is armed. Points that are not named here cannot be
reached in that scenario."""

_BY_MANY = frozenset({"projection.applied"})
"""Points that what many have done passes at once, so that there may be no second passage."""

_PEOPLE = 4
_STOPPED = 3.0  # seconds; longer than the outbox's lease and an erasure's first pause
_TOKEN = 300.0  # seconds for which a token is used
_HIT = 60.0  # seconds until a fault has happened
_CONVERGED = 150.0  # seconds; an e-mail's lease is a minute, and the machine may be busy


@dataclass(frozen=True)
class Cell:
    """One fault in one scenario."""

    scenario: str
    point: str
    process: str
    action: str


@dataclass
class Result:
    """What came of one cell, or of one round of random faults."""

    scenario: str
    point: str
    process: str
    action: str
    seed: str
    hit: bool = False
    operations: int = 0
    """Requests that were answered."""
    seconds: float = 0.0
    """From the fault to nothing under way."""
    lost: int = 0
    doubled: int = 0
    twice: int = 0
    """Mails handed over twice under one Message-ID."""
    anomalies: list[str] = field(default_factory=list)

    @property
    def sender_hit(self) -> bool:
        """Whether what sends mails may have died or stood still."""
        return self.process == "notification.events" or self.action == "random"

    def blame(self, verdict: Verdict) -> None:
        """Take over what the books say."""
        self.lost, self.doubled, self.twice = verdict.lost, verdict.doubled, verdict.twice
        self.anomalies += verdict.anomalies


def cells() -> Iterator[Cell]:
    """The whole matrix."""
    for scenario, points in REACHED.items():
        for point, processes in points.items():
            actions = ("kill", "stop", *(("cut",) if point == "db.committing" else ()))
            for process, action in itertools.product(processes, actions):
                yield Cell(scenario, point, process, action)


def unreachable(scenario: str) -> list[str]:
    """The points that nobody may pass in ``scenario``."""
    return sorted(POINTS.keys() - REACHED[scenario].keys())


def platform(directory: Path) -> Stack:
    """A platform whose processes can be told to fail one by one, two instances of each target."""
    faults = directory.absolute() / "faults" / "{process}"
    environment = {"FAULT_POINTS": str(faults), "PASSWORD_COST": "low"}  # nosec B105
    return Stack(directory, mode="processes", environment=environment, instances=2)


class Matrix:
    """Runs cells on one platform that goes on running between them."""

    def __init__(self, stack: Stack, *, seed: int, hurry: bool) -> None:
        """``stack`` is a started ``platform``. ``hurry``: the lease of an e-mail whose sender has
        died or stands still is ended in the books, where else a minute would have to pass."""
        self.stack = stack
        self.ledgers: Ledgers = ledgers_of(stack)
        self.histories = Histories(self.ledgers, stack.directory)
        self._seed = seed
        self._hurry = hurry
        self._numbers = itertools.count(1)
        self._token = (0.0, "")
        folder = stack.directory / "faults"
        self._faults = {name: Faults(folder / name) for name in stack.names if "." in name}

    def close(self) -> None:
        """Disarm everything and close the books."""
        for faults in self._faults.values():
            faults.clear()
        self.ledgers.close()

    def run(self, cell: Cell) -> Result:
        """Run one cell; whatever is wrong is in the result."""
        number = next(self._numbers)
        seed = f"{self._seed}.{number}"
        result = Result(**asdict(cell), seed=seed)
        chance = random.Random(seed)  # nosec B311
        scenario = self.scenario(cell.scenario)
        scenario.last = cell.point == "outbox.committed"
        patients = [somebody(f"c{self._seed}.{number}", n) for n in range(_PEOPLE)]
        if scenario.settled:
            result.anomalies += at_once(self.stack, patients, register)[1]
            self.settle(result)
        armed = self._faults[cell.process]
        self._set_traps(cell.scenario)
        passage = 1 if cell.point in _BY_MANY else chance.randint(1, 2)
        armed.arm(cell.point, f"{cell.action} {passage}")
        with ThreadPoolExecutor(1) as pool:
            traffic = pool.submit(at_once, self.stack, patients, scenario.act)
            result.hit = _happens(lambda: armed.hit(cell.point), traffic)
            started = time.monotonic()
            if result.hit and cell.action == "stop":
                self._go_on(cell, armed)
            result.operations, refused = traffic.result()
        result.anomalies += refused
        if not result.hit:
            result.anomalies.append(f"{cell.point} was not passed in {cell.process}")
        self.settle(result, since=started)
        result.anomalies += self._traps(cell.scenario)
        for faults in self._faults.values():
            faults.clear()
        self.judge(result, [(scenario, patients)])
        return result

    def scenario(self, name: str) -> Scenario:
        """One scenario on this platform, for new people."""
        # All of them come from one address, which may try so many passwords and no more.
        self.ledgers.all("auth", "delete from login_attempts")
        return next(s for s in SCENARIOS if s.name == name)(self.stack, self._admin_token())

    def settle(self, result: Result, *, since: float | None = None) -> None:
        """Wait until nothing is under way, and note how long that took since ``since``."""
        try:
            self.ledgers.settle(_CONVERGED, hurry=self._hurry and result.sender_hit)
        except TimeoutError as fault:
            result.anomalies.append(str(fault))
        if since is not None:
            result.seconds = time.monotonic() - since

    def judge(self, result: Result, people: Sequence[tuple[Scenario, list[Patient]]]) -> None:
        """Look at the books, and ask the platform."""
        everybody = [patient for _, patients in people for patient in patients]
        known = [patient for patient in everybody if patient.patient_id]
        found, twice = effects(self.ledgers, self.stack.directory, known)
        result.blame(judged(known, found, twice))
        if twice and not result.sender_hit:
            result.anomalies.append("a mail was handed over twice, and its sender did not die")
        result.anomalies += remains(self.ledgers, known) + self.ledgers.faults()
        result.anomalies += self.histories.differences(known)
        for scenario, patients in people:
            result.anomalies += at_once(self.stack, patients, scenario.holds)[1]

    def _admin_token(self) -> str:
        made, token = self._token
        if not token or time.monotonic() - made > _TOKEN:
            visitor, admin = Visitor(self.stack), self.stack.admin
            body = {"email": admin.email, "password": admin.password}
            token = visitor.ask(200, "POST", "/api/auth/login", body).body["access_token"]
            self._token = time.monotonic(), token
            visitor.close()
        return token

    def _go_on(self, cell: Cell, armed: Faults) -> None:
        """Let a process stand still until others have taken over, and then go on."""
        until = time.monotonic() + _STOPPED
        if cell.process.endswith(".events"):
            # The broker and the front end forget whom they asked, and ask somebody else, so that
            # both may be at work.
            for name in ("background", "gateway"):
                self.stack.kill(name)
                self.stack.start_process(name)
        if cell.point == "mail.accepted":
            with suppress(TimeoutError):
                self.ledgers.hand_over(_CONVERGED, hurry=self._hurry)
        time.sleep(max(0.0, until - time.monotonic()))
        victim = armed.victim(cell.point)
        if victim is not None:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGCONT)

    def _set_traps(self, scenario: str) -> None:
        for point in unreachable(scenario):
            for faults in self._faults.values():
                faults.arm(point, "error")

    def _traps(self, scenario: str) -> list[str]:
        return [
            f"{point} was passed in {process}, and should not be"
            for point in unreachable(scenario)
            for process, faults in self._faults.items()
            if faults.hit(point)
        ]


def _happens(what: Callable[[], bool], traffic: Future[tuple[int, list[str]]]) -> bool:
    """Wait for ``what``, for a while after the traffic has ended."""
    deadline: float | None = None
    while not what():
        if traffic.done() and deadline is None:
            deadline = time.monotonic() + _HIT
        if deadline is not None and time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
