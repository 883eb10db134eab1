"""Facts to store, a fresh database of the kit, and threads that append to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID, uuid4

from shared.crypto import Vault
from shared.db import Database, Tx
from shared.event_gate import gate
from shared.eventstore import START, Cursor, EventStore, Fact, Recorded, Stream
from shared.messages import personal
from shared.privacy import Privacy

__all__ = ["ChairMoved", "Moved", "Registered", "World", "world"]


class Registered(Fact):
    """Somebody came; the second version calls them by one name."""

    schema_version: ClassVar[int] = 2
    upcasters: ClassVar[dict[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {
        1: lambda old: {"name": f"{old['first']} {old['last']}", "clinic": old["clinic"]}
    }

    name: str = personal()
    clinic: UUID


class Moved(Fact):
    """Somebody lives elsewhere."""

    town: str | None = personal(default=None)
    far: bool = False


class ChairMoved(Fact):
    """About nobody."""

    room: int


@dataclass(frozen=True)
class World:
    """A database, its keys and a store."""

    db: Database
    vault: Vault
    store: EventStore

    def stream(self, category: str = "person") -> Stream:
        """A new stream about a new person."""
        person = uuid4()
        return Stream(category, person, person)

    def append(self, stream: Stream, *facts: Fact, expected: int = 0, **more: Any) -> int:
        """Append in a transaction of its own."""

        def work(tx: Tx) -> int:
            return self.store.append(tx, stream, facts, expected=expected, **more)

        return self.db.transaction(work, isolation="READ COMMITTED")

    def read(self, after: Cursor = START, **more: Any) -> list[Recorded]:
        """All events, once nobody's transaction is open: PostgreSQL has some of its own."""
        deadline = time.monotonic() + 60
        while gate(self.db)["xmin_lag"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self.store.read_all(self.db, after, **{"limit": 9, **more})

    def erase(self, person: UUID) -> None:
        """As the service would."""
        self.db.transaction(
            lambda tx: Privacy().erase(tx, person, uuid4()), isolation="READ COMMITTED"
        )


def world(url: str) -> World:
    """The database behind ``url``, with the facts of this module."""
    db = Database(url)
    vault = Vault(db)
    return World(db, vault, EventStore(vault, [Registered, Moved, ChairMoved]))
