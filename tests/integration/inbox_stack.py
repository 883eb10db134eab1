"""A consumer with an event, a command and its undo, that fail when a test says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID, uuid4

from pydantic import Field

from shared.db import Database, Tx
from shared.errors import Problem
from shared.inbox import Subscriptions, receive
from shared.messages import Command, Envelope, Event, Message, Metadata, SagaContext, envelope
from tests.integration.outbox_stack import Ticked

__all__ = [
    "TOPIC",
    "Book",
    "Unbook",
    "command",
    "deliver",
    "effects",
    "event",
    "letter",
    "raises",
    "seen",
]


class Moved(Event):
    """A thing moved (version 2: ``to`` was called ``where``)."""

    schema_version: ClassVar[int] = 2
    key: ClassVar[str] = "thing"
    upcasters: ClassVar[dict[int, Any]] = {1: lambda old: {**old, "to": old["where"]}}

    thing: str = Field(min_length=1, max_length=256)  # what it causes has it as its key
    to: int
    notes: dict[str, int] = Field(default_factory=dict)


class Book(Command):
    """Do something."""

    key: ClassVar[str] = "thing"
    thing: str


class Unbook(Command):
    """Undo it."""

    key: ClassVar[str] = "thing"
    thing: str


on = Subscriptions("consumer")
TOPIC = Moved.topic()
raises: dict[str, Callable[[], BaseException]] = {}
seen: list[Metadata] = []


def effect(tx: Tx, thing: str) -> int:
    """Count one more effect on ``thing``; fail if the test wants it."""
    n = tx.value(
        "insert into thing values (:id, 1)"
        " on conflict (id) do update set n = thing.n + 1 returning n",
        id=thing,
    )
    if thing in raises:
        raise raises[thing]()
    return int(n)


@on(Moved)
def moved(event: Moved, tx: Tx, meta: Metadata) -> list[Message]:
    """Count it, and say so."""
    seen.append(meta)
    return [Ticked(thing=event.thing, n=effect(tx, event.thing))]


@on.command(Book, sender="orchestrator")
def book(command: Book, tx: Tx) -> list[Message]:
    """Count it."""
    effect(tx, command.thing)
    return []


@on.command(Unbook, sender="orchestrator")
def unbook(command: Unbook, tx: Tx) -> None:
    """Uncount it."""
    tx.run("delete from thing where id = :id", id=command.thing)


def replied(tx: Tx, env: Envelope, refusal: Problem | None) -> None:
    """Answer the saga with a ``Ticked``: 1 done, 0 refused."""
    tx.emit(Ticked(thing=f"reply {env.event_id}", n=0 if refusal else 1))


def deliver(db: Database, env: Envelope, topic: str | None = None) -> str:
    """Deliver ``env`` as its topic would."""
    return receive(db, on, env, replied=replied, topic=topic)


def effects(db: Database, thing: str) -> int:
    """How often ``thing`` was changed."""
    row = db.one("select n from thing where id = :id", id=thing)
    return 0 if row is None else int(row["n"])


def letter(db: Database, identity: object) -> str | None:
    """The reason why a message was parked."""
    row = db.one("select reason from dead_letters where id = :id", id=str(identity))
    return None if row is None else str(row["reason"])


def event(thing: str, /, **changes: Any) -> Envelope:
    """A ``Moved``; ``changes`` replace members of its payload or metadata."""
    env = envelope(Moved(thing=thing, to=1), source=TOPIC)
    read = json.loads(env.to_json())
    for name, value in changes.items():
        part = read["metadata"] if name in Metadata.model_fields else read["payload"]
        part[name] = value
    return Envelope.parse(json.dumps(read))


def command(message: Command, action: str = "do", cancels: UUID | None = None) -> Envelope:
    """A saga's command."""
    context = SagaContext.model_validate(
        {
            "saga_id": uuid4(),
            "step": "book",
            "action": action,
            "orchestrator": "orchestrator",
            "cancels": cancels,
        }
    )
    return envelope(message, source="orchestrator", saga=context)
