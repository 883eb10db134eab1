"""Three services on three databases around one saga, joined by the in-memory bus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from infra import migrate as migrations
from shared.bus import Subscription, parse_push
from shared.contracts.saga import SagaReplied
from shared.db import Database, Tx
from shared.errors import Conflict
from shared.inbox import Outcome, Subscriptions, receive
from shared.messages import Command, Envelope, Event
from shared.outbox import Outbox
from shared.saga import Orchestrator, Saga, replied
from shared.testing import FrozenClock, MemoryBus, frozen
from shared.types import uuid7
from tests.saga_contracts import OWNERS, SERVICES, AlphaOpened, OpenAlpha, SettleAlpha, opening


@dataclass
class World:
    """The three services; ``effects`` is what each did, in order, as its database tells."""

    clock: FrozenClock
    dbs: dict[str, Database]
    bus: MemoryBus
    saga: Saga = field(default_factory=opening)
    refuse: set[type[Command]] = field(default_factory=set)
    crash: set[type[Command]] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    """Wire types that get lost on their way."""
    sent: list[Envelope] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.on = {name: Subscriptions(name) for name in SERVICES}
        for command, service in OWNERS.items():
            self.on[service].command(command, sender="alpha")(self._handler(command, service))
        self.orchestrator = self.orchestrate(self.saga)
        self.on["alpha"].register(SagaReplied, self.orchestrator.topics)(self.orchestrator.reply)
        self.bus.topic(*SERVICES)
        for name in SERVICES:
            for topic in {"alpha"} if name != "alpha" else {"beta", "gamma"}:
                wanted = Subscription(f"{name}.{topic}", topic, name, f"http://{name}")
                self.bus.subscribe(wanted, self._receiver(name, topic))

    def orchestrate(self, saga: Saga) -> Orchestrator:
        """Another process of alpha, with this definition."""
        return Orchestrator("alpha", [saga], self.on["alpha"], lambda: self.dbs["alpha"])

    def start(self, **data: Any) -> UUID:
        """A saga about a new thing; its id is the thing's."""
        thing = uuid7()
        self.dbs["alpha"].transaction(
            lambda tx: self.saga.start(
                tx, data={"thing": thing, **data}, subject=thing, saga_id=thing
            )
        )
        return thing

    def receive(self, service: str, env: Envelope) -> Outcome:
        """Let ``service`` handle ``env``."""
        return receive(self.dbs[service], self.on[service], env, replied=replied)

    def effects(self, thing: UUID) -> list[str]:
        """Every effect on ``thing``, per service in order."""
        return [
            row["what"]
            for name in SERVICES
            for row in self.dbs[name].all(
                "select what from effects where thing = :thing order by id", thing=thing
            )
        ]

    def status(self, saga_id: UUID) -> str:
        """The saga's status."""
        return str(self.shown(saga_id)["status"])

    def shown(self, saga_id: UUID) -> dict[str, Any]:
        """The saga as operators see it."""
        found = self.orchestrator.show(saga_id)
        assert found is not None
        return found

    def events(self, saga_id: UUID) -> list[str]:
        """The timeline in short: ``event step action``."""
        return [
            " ".join(filter(None, (e["event"], e.get("step"), e.get("action"))))
            for e in self.shown(saga_id)["timeline"]
        ]

    def pass_time(self, **amount: float) -> int:
        """Let time pass, the schedule tick and the bus deliver."""
        self.clock.advance(timedelta(**amount))
        done = self.orchestrator.tick()
        self.bus.drain()
        return done

    def _handler(self, command: type[Command], service: str) -> Callable[..., Any]:
        def handle(received: Any, tx: Tx) -> list[Event]:
            tx.run(
                "insert into effects (thing, what) values (:thing, :what)",
                thing=received.thing,
                what=command.__name__,
            )
            if command is SettleAlpha:
                tx.emit(AlphaOpened(thing=received.thing))
            if command in self.crash:
                raise RuntimeError("broken")
            if command in self.refuse:
                raise Conflict("It cannot be done.")
            return [AlphaOpened(thing=received.thing)] if command is OpenAlpha else []

        return handle

    def _receiver(self, service: str, topic: str) -> Callable[[bytes], int]:
        def take(body: bytes) -> int:
            env = Envelope.parse(parse_push(body).data)
            self.sent.append(env)
            if env.event_type not in self.deaf:
                receive(self.dbs[service], self.on[service], env, replied=replied, topic=topic)
            return 204

        return take


def databases(new_db: Callable[[], str]) -> dict[str, str]:
    """A database per service, with a table of effects beside the kit's; service -> URL."""
    made = {name: new_db() for name in SERVICES}
    for url in made.values():
        migrations.migrate(url, "kit", role="postgres")
        db = Database(url)
        db.all(
            "create table effects (id bigint generated always as identity, thing uuid, what text)"
        )
        db.close()
    return made


@contextmanager
def at_rest(urls: dict[str, str]) -> Iterator[World]:
    """The three services on the databases at ``urls``, emptied; time stands still."""
    bus, dbs = MemoryBus(), {}
    for name, url in urls.items():
        db = dbs[name] = Database(url, outbox=Outbox(name, bus))
        for table in ("sagas", "inbox", "outbox", "effects"):
            db.all(f"delete from {table}")
    with frozen() as clock:
        yield World(clock, dbs, bus)
    for db in dbs.values():
        db.close()
