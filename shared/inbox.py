"""Receiving messages: each takes effect once, or is parked with a reason.

The dedupe row is the transaction's first statement and commits with the effect, READ COMMITTED:
of several deliveries at once one inserts, the others wait for it and find a duplicate. (Under
REPEATABLE READ they would all fail with 40001.)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from uuid import UUID

from shared import dead_letters, faults, log
from shared.audit import acting_as_service
from shared.clocks import hlc
from shared.db import Database, Tx
from shared.errors import Problem, Reject
from shared.idempotency import IdempotencyInProgress
from shared.messages import Command, Envelope, Event, Message, Metadata, UnknownType, decode
from shared.privacy import PersonErased, guard
from shared.traces import Span
from shared.wire import SqlError, Statement

__all__ = ["Handler", "Outcome", "Subscriptions", "message_id", "receive", "take_effect"]

M = TypeVar("M", bound=Message)
Outcome = Literal["handled", "duplicate", "unknown", "refused", "rejected", "erased"]
LOCK_TIMEOUT = "2s"
_CLAIM = """
insert into inbox (event_id) select unnest(:ids::uuid[]) on conflict do nothing returning event_id
"""
_CLAIM_ABOUT = """
insert into inbox (event_id) select unnest(:ids::uuid[]) on conflict do nothing
returning event_id, exists (select from erased_people where person_id = :person) as erased
"""


@dataclass(frozen=True)
class Handler:
    """One function for one message type; it returns the messages to send."""

    message: type[Message]
    topics: frozenset[str]
    call: Callable[[Message, Tx, Metadata], Iterable[Message] | None]


class Subscriptions:
    """What one service consumes: ``@on(Event)`` and ``@on.command(Command, sender=...)``."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.handlers: dict[str, Handler] = {}

    def __call__(
        self, event: type[Event]
    ) -> Callable[[Callable[..., Iterable[Message] | None]], Callable[..., Any]]:
        """Handle ``event``, which arrives on the topic of its contracts module."""
        return self.register(event, frozenset({event.topic()}))

    def command(
        self, command: type[Command], *, sender: str
    ) -> Callable[[Callable[..., Iterable[Message] | None]], Callable[..., Any]]:
        """Handle a saga's ``command``, which arrives on the topic of the ``sender`` service.

        Only the sender may publish there, so nobody else can command us. A Problem below 500
        rolls the effect back and is the saga's answer.
        """
        return self.register(command, frozenset({sender}))

    @property
    def topics(self) -> frozenset[str]:
        """The topics to subscribe to; our own is not one: local commands are called directly."""
        return frozenset().union(*(h.topics for h in self.handlers.values())) - {self.service}

    def types(self, topic: str) -> list[str]:
        """The wire types that are handled when they arrive on ``topic``, sorted."""
        return sorted(name for name, handler in self.handlers.items() if topic in handler.topics)

    @property
    def known(self) -> dict[str, type[Message]]:
        """Wire type -> class."""
        return {name: handler.message for name, handler in self.handlers.items()}

    def register(
        self, message: type[Message], topics: frozenset[str]
    ) -> Callable[[Callable[..., Iterable[Message] | None]], Callable[..., Any]]:
        """Handle ``message`` wherever it arrives among ``topics``. Raises TypeError on a second."""

        def add(
            function: Callable[..., Iterable[Message] | None],
        ) -> Callable[..., Iterable[Message] | None]:
            name = message.type_name()
            if name in self.handlers:
                raise TypeError(f"{self.service} handles {name} twice")
            wants_meta = len(inspect.signature(function).parameters) == 3

            def call(received: Message, tx: Tx, meta: Metadata) -> Iterable[Message] | None:
                return function(received, tx, meta) if wants_meta else function(received, tx)

            self.handlers[name] = Handler(message, topics, call)
            return function

        return add


def message_id() -> UUID:
    """The id of the message at hand: the cause of whatever its handling causes.

    Raises RuntimeError where no message is being handled.
    """
    identity = log.causation_id.get()
    if identity is None:
        raise RuntimeError("no message is being handled")
    return UUID(identity)


Replied = Callable[[Tx, Envelope, Problem | None], None]


def receive(
    db: Database, on: Subscriptions, env: Envelope, *, replied: Replied, topic: str | None = None
) -> Outcome:
    """Let ``env`` take effect once. ``replied`` emits a command's answer to its saga.

    ``topic`` is where it arrived, when known: a message on another topic than its handler's is
    unknown. Raises Unavailable (the broker should redeliver) and whatever else the handler raises
    but Reject.
    """
    outcome: Outcome
    try:
        outcome = take_effect(db, on, env, replied=replied, topic=topic)
    except Reject as reason:
        dead_letters.store(db, dead_letters.Letter.of(env, str(reason), topic=topic))
        outcome = "rejected"
    faults.point("inbox.committed")
    return outcome


def take_effect(
    db: Database,
    on: Subscriptions,
    env: Envelope,
    *,
    replied: Replied,
    topic: str | None = None,
    before: Callable[[Tx], None] | None = None,
) -> Outcome:
    """As ``receive``, but raises Reject for a message that can never be handled.

    ``before`` comes first in the transaction of the effect, behind the person's lock, as an
    erasure takes its locks. An unknown message has none.
    """
    name = env.event_type
    try:
        message = decode(env, on.known)
        handler = on.handlers[name]
        if topic is not None and topic not in handler.topics:
            raise UnknownType(name)
        hlc().observe(env.metadata.hlc)
    except UnknownType:
        return "unknown"
    except ValueError as reason:
        raise Reject(str(reason)) from None
    refusal: Problem | None = None
    person = _about(message)

    def work(tx: Tx) -> Outcome:
        if before is not None:
            if person is not None:
                tx.batch(guard(person))
            before(tx)
        first, erased = _first_time(tx, env, message, person)
        if not first:
            return "duplicate"
        saga = env.metadata.saga if isinstance(message, Command) else None
        if erased:
            if saga is not None:
                replied(tx, env, None if saga.action == "undo" else PersonErased())
            return "erased"
        if refusal is None:
            for sent in handler.call(message, tx, env.metadata) or ():
                tx.emit(sent)
        if saga is not None:
            replied(tx, env, refusal)
        faults.point("inbox.handled")
        return "handled" if refusal is None else "refused"

    with (
        log.context(correlation=env.metadata.correlation_id, causation=str(env.event_id)),
        Span(
            f"process {name}",
            "consumer",
            env.metadata.traceparent,
            messaging_message_id=str(env.event_id),
            messaging_operation_type="process",
        ),
        acting_as_service(env.metadata.source_service),
    ):
        try:
            return _transact(db, work)
        except SqlError as reason:
            # Class 22: a value the database cannot hold, today or tomorrow (NUL, too long...).
            if not reason.code.startswith("22"):
                raise
            raise Reject(str(reason)) from None
        except IdempotencyInProgress:
            # The redriving request is turned away; the handler was not asked.
            raise
        except Problem as problem:
            if problem.status >= 500 or env.metadata.saga is None:
                raise
            refusal = problem
            return _transact(db, work)


def _transact(db: Database, work: Callable[[Tx], Outcome]) -> Outcome:
    return db.transaction(work, isolation="READ COMMITTED", lock_timeout=LOCK_TIMEOUT)


def _about(message: Message) -> UUID | None:
    """The person whose erasure ``message`` must wait for, and after which it has no effect."""
    field = message.person_field()
    person: UUID | None = getattr(message, field) if field else None
    return None if message.reaches_the_erased else person


def _first_time(tx: Tx, env: Envelope, message: Message, person: UUID | None) -> tuple[bool, bool]:
    """Claim the message: (not claimed before, about ``person`` who was erased). An undo also
    claims its do, which may then never take effect."""
    ids: list[UUID] = [env.event_id]
    saga = env.metadata.saga
    if isinstance(message, Command) and saga is not None and saga.action == "undo" and saga.cancels:
        ids.append(saga.cancels)
    if person is None:
        new = tx.all(_CLAIM, ids=ids)
        return any(row["event_id"] == env.event_id for row in new), False
    claim = Statement(_CLAIM_ABOUT, {"ids": ids, "person": person})
    new = tx.batch(guard(person), claim)[1].rows
    mine = [row for row in new if row["event_id"] == env.event_id]
    return bool(mine), bool(mine and mine[0]["erased"])
