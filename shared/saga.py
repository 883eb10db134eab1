"""Sagas: a change that spans services, carried out step by step or taken back.

The orchestrating service keeps the state in its own database and changes it only together with
the messages that follow from it. No process stays with a saga: an answer, a tick of the schedule
or an operator continues it, wherever that happens to run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from pydantic_core import to_json

from shared import faults, log, saga_store
from shared.audit import acting_as_service
from shared.clocks import clock
from shared.contracts.saga import SagaReplied
from shared.crypto import Vault
from shared.db import Database, Row, Tx
from shared.errors import Conflict, NotFound, Problem
from shared.inbox import Subscriptions
from shared.messages import Command, Envelope, Metadata, SagaContext, envelope
from shared.saga_plan import Retry, Saga, SagaData, Step, message_id
from shared.saga_rules import (
    Decision,
    Due,
    Entry,
    Happening,
    Replied,
    Resume,
    Send,
    begin,
    decide,
    park,
)
from shared.saga_store import LEASE_S, Run
from shared.telemetry import timed
from shared.types import uuid7

__all__ = ["Orchestrator", "Retry", "Saga", "SagaData", "Step", "replied"]

_MISFIT = "definition changed"
_BATCH = 50
# The class below has a method of the name ``list``.
Rows = list[Row]
Happenings = list[Happening]


def replied(tx: Tx, env: Envelope, problem: Problem | None) -> None:
    """Answer the saga that sent the command ``env``, in the transaction of its effect."""
    context = env.metadata.saga
    if context is None:
        raise ValueError("this message belongs to no saga")
    told = problem.to_dict() if problem else {}
    tx.emit(
        SagaReplied(
            saga_id=context.saga_id,
            orchestrator=context.orchestrator,
            step=context.step,
            action=context.action,
            outcome="REFUSED" if problem else "DONE",
            problem_type=told.get("type"),
            problem_detail=told.get("detail"),
        ),
        key=context.saga_id,
        event_id=uuid5(env.event_id, "reply"),
    )


class Orchestrator:
    """Carries out the sagas of one service."""

    def __init__(
        self,
        service: str,
        sagas: Sequence[Saga],
        on: Subscriptions,
        db: Callable[[], Database],
    ) -> None:
        """``on`` has the handlers of commands to ourselves. Raises TypeError when one is missing.

        Binds the sagas to itself: ``saga.start`` works from now on.
        """
        self.service = service
        self.sagas = {saga.name: saga for saga in sagas}
        self._on = on
        self._db = db
        if len(self.sagas) != len(sagas):
            raise TypeError(f"{service}: two sagas have one name")
        for saga in sagas:
            for step in saga.steps:
                for cls in step.commands:
                    if cls.topic() == service and cls.type_name() not in on.handlers:
                        raise TypeError(f"saga {saga.name}: {service} does not handle {cls}")
            saga.bind(self)

    @property
    def topics(self) -> frozenset[str]:
        """Where the answers arrive: the topics of the other participants."""
        return frozenset().union(*(s.topics for s in self.sagas.values())) - {self.service}

    def start(
        self, saga: Saga, tx: Tx, data: SagaData, subject: UUID, saga_id: UUID | None = None
    ) -> UUID:
        """Begin ``saga`` in ``tx``; see ``Saga.start``."""
        now = clock().now()
        identity = saga_id or uuid7()
        # Builders see the same plain JSON now and in any later process.
        plain: SagaData = json.loads(to_json(data))
        first = begin(saga, now)
        run = Run(
            id=identity,
            name=saga.name,
            fingerprint=saga.fingerprint,
            steps=tuple(step.name for step in saga.steps),
            state=first.state,
            sealed=saga_store.seal(Vault(self._db()), identity, plain),
            created_at=now,
        )
        self._follow(tx, saga, run, first, now, data=plain, starting=True)
        self._time(tx, run, now)
        saga_store.insert(tx, run, subject, now)
        return identity

    def reply(self, event: SagaReplied, tx: Tx) -> None:
        """Continue with a participant's answer, whichever process it reaches."""
        run = saga_store.lock(tx, event.saga_id) if event.orchestrator == self.service else None
        if run is None:
            return
        now = clock().now()
        run.held.append(Replied(event.step, event.action, event.outcome, event.problem_type))
        with acting_as_service(self.service):
            self._continue(tx, run, None, now)
        saga_store.save(tx, run, now)
        faults.point("saga.continued")

    def tick(self, *, budget_s: float = 20.0) -> int:
        """Continue the sagas that are due; how many. Any number of ticks may run at once."""
        done, until = 0, time.monotonic() + budget_s
        while time.monotonic() < until:
            now = clock().now()
            lease = now + timedelta(seconds=LEASE_S)
            rows = saga_store.claim(self._db(), now, lease, _BATCH)
            for row in rows:
                with log.context(correlation=row["correlation_id"]):
                    done += self._wake(row["id"], row["fence"])
            if len(rows) < _BATCH:
                break
        return done

    def list(self, status: str | None = None, before: UUID | None = None, limit: int = 50) -> Rows:
        """Summaries, newest first; ``before`` is the last id of the page before."""
        return saga_store.summaries(self._db(), status, before, limit)

    def show(self, saga_id: UUID) -> dict[str, Any] | None:
        """One saga with ``steps`` and ``timeline``, or None."""
        return saga_store.show(self._db(), saga_id)

    def resume(self, saga_id: UUID) -> None:
        """Let a parked saga go on with the step at hand. Raises NotFound, Conflict."""

        def work(tx: Tx) -> None:
            run, now = saga_store.lock(tx, saga_id), clock().now()
            if run is None:
                raise NotFound("There is no such saga.")
            if run.state.status != "PARKED":
                raise Conflict("Only a parked saga can be resumed.")
            if not run.fits(self.sagas.get(run.name)):
                raise Conflict("The saga was started with another definition than this code's.")
            self._continue(tx, run, Resume(), now)
            saga_store.save(tx, run, now)

        self._db().transaction(work, isolation="READ COMMITTED", lock_timeout="2s")

    def _wake(self, saga_id: UUID, fence: int) -> bool:
        """Continue one claimed saga; False when it went on without us."""

        def work(tx: Tx, *, silent: bool) -> bool:
            run, now = saga_store.lock(tx, saga_id), clock().now()
            if run is None or run.fence != fence:
                return False
            self._continue(tx, run, Due(), now, silent=silent)
            saga_store.save(tx, run, now)
            faults.point("saga.continued")
            return True

        db = self._db()
        try:
            return db.transaction(lambda tx: work(tx, silent=False), isolation="READ COMMITTED")
        except Exception as error:  # noqa: BLE001 -- one broken saga must not stop the others
            log.error("saga_failed", exc=error, saga_id=saga_id)
            # It counts as an attempt without an answer, so the step fails in its own way.
            return db.transaction(lambda tx: work(tx, silent=True), isolation="READ COMMITTED")

    def _continue(
        self, tx: Tx, run: Run, happening: Happening | None, now: datetime, *, silent: bool = False
    ) -> None:
        """Let the answers held so far happen, then ``happening``."""
        saga = self.sagas.get(run.name)
        if run.state.ended:
            run.held.clear()
            run.log.append(Entry("late"))
        elif saga is None or not run.fits(saga):
            if run.state.status != "PARKED":
                self._note(run, park(run.state, _MISFIT))
        else:
            waiting: Happenings = [*run.held, *([happening] if happening else [])]
            run.held.clear()
            for each in waiting:
                decision = decide(saga, run.state, each, now)
                self._follow(tx, saga, run, decision, now, silent=silent)
            self._time(tx, run, now)

    def _follow(
        self,
        tx: Tx,
        saga: Saga,
        run: Run,
        decision: Decision,
        now: datetime,
        *,
        data: SagaData | None = None,
        starting: bool = False,
        silent: bool = False,
    ) -> None:
        """Send what is decided; a local step's answer leads straight to the next decision.

        ``silent`` sends nothing: the next wake-up will, as a repetition.
        """
        self._note(run, decision)
        while decision.send is not None and not silent:
            if data is None:
                data = saga_store.unseal(Vault(self._db()), run)
            step = saga.steps[decision.send.index]
            command = step.command(decision.send.action, data)
            answer = self._send(tx, run, step, decision.send, command, starting=starting)
            if answer is None:
                return
            decision = decide(saga, run.state, answer, now)
            self._note(run, decision)

    def _note(self, run: Run, decision: Decision) -> None:
        run.state = decision.state
        run.log += decision.log
        if any(entry.event == "parked" for entry in decision.log):
            log.error("saga_parked", saga=run.name, saga_id=run.id, reason=run.state.error)

    def _time(self, tx: Tx, run: Run, now: datetime) -> None:
        if run.state.ended:
            took = (now - run.created_at).total_seconds()
            facts = {"saga": run.name, "status": run.state.status}
            tx.after(lambda: timed("dentalhelp.saga.duration", took, **facts))

    def _send(
        self, tx: Tx, run: Run, step: Step, send: Send, command: Command, *, starting: bool
    ) -> Replied | None:
        """Emit ``command``, or carry it out when it is ours; then its answer is known at once."""
        cancels = message_id(run.id, step.name, "do", 0) if send.action == "undo" else None
        context = SagaContext(
            saga_id=run.id,
            step=step.name,
            action=send.action,
            orchestrator=self.service,
            cancels=cancels,
        )
        event_id = message_id(run.id, step.name, send.action, send.round)
        if command.topic() != self.service:
            # The saga's row is locked and changed here, so its commands stay in order.
            tx.emit(command, key=run.id, event_id=event_id, saga=context)
            return None
        meta = envelope(command, source=self.service, event_id=event_id, saga=context).metadata
        if starting:
            self._carry_out(tx, command, meta)
            return Replied(step.name, send.action, "DONE")
        emitted = len(tx.pending)
        tx.run("savepoint saga_step")
        try:
            self._carry_out(tx, command, meta)
        except Problem as problem:
            if problem.status >= 500:
                raise
            tx.run("rollback to savepoint saga_step")
            del tx.pending[emitted:]
            return Replied(step.name, send.action, "REFUSED", problem.to_dict()["type"])
        tx.run("release savepoint saga_step")
        return Replied(step.name, send.action, "DONE")

    def _carry_out(self, tx: Tx, command: Command, meta: Metadata) -> None:
        for message in self._on.handlers[command.type_name()].call(command, tx, meta) or ():
            tx.emit(message)
