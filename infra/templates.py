"""The files of a new service, for ``infra.new_service``: ``$name`` and its kin are filled in."""

from __future__ import annotations

__all__ = ["FILES"]

_MAIN = '''"""Deploy targets of $name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.$name import api, handlers, privacy
from shared.runtime import Service

if TYPE_CHECKING:
    from flask import Request, Response

service = Service("$name", api=api.api, handlers=handlers.on, privacy=privacy.privacy)


def http(request: Request) -> Response:
    """The HTTP target."""
    return service.http(request)


def events(request: Request) -> Response:
    """The target of pushes and schedules."""
    return service.events(request)
'''

_PRIVACY = '''"""What $name knows about people: nothing so far.

A table that holds personal data is declared with ``Personal``; docs/kit.md shows how.
"""

from __future__ import annotations

from shared.privacy import Privacy

__all__ = ["privacy"]

privacy = Privacy(impersonal=frozenset({"$name"}))
'''

_API = '''"""The HTTP edge of $name."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, Field

from functions.$name import service
from shared.access import anyone, roles
from shared.errors import NotFound
from shared.http import Api, Reply

api = Api("$name", prefix="/api/$path")


class New$class_(BaseModel, extra="forbid"):
    """What to record."""

    title: str = Field(min_length=1, max_length=200)


class $class_(BaseModel):
    """One record."""

    id: UUID
    title: str


@api.post("", access=roles("ADMIN"), returns=$class_, status=201)
def create(body: New$class_) -> Reply[$class_]:
    """Record something."""
    made = service.create(body.title)
    return Reply($class_(id=made, title=body.title), location=f"{api.prefix}/{made}")


@api.get("/{id}", access=anyone(), returns=$class_, problems=[NotFound])
def show(id: UUID) -> $class_:
    """One record; 404 when there is none."""
    return $class_(**service.show(id))
'''

_SERVICE = '''"""The use cases of $name, one transaction each."""

from __future__ import annotations

from uuid import UUID

from functions.$name import store
from shared.contracts.$name import ${class_}Created
from shared.db import Row, Tx
from shared.errors import NotFound
from shared.runtime import database
from shared.types import uuid7

__all__ = ["create", "show"]


def create(title: str) -> UUID:
    """Record ``title`` and tell everybody; its id."""
    made = uuid7()

    def work(tx: Tx) -> None:
        store.insert(tx, made, title)
        tx.emit(${class_}Created(${name}_id=made))

    database("$name").transaction(work)
    return made


def show(found: UUID) -> Row:
    """One record: id, title. Raises NotFound."""
    row = store.get(database("$name"), found)
    if row is None:
        raise NotFound
    return row
'''

_STORE = '''"""The SQL of $name."""

from __future__ import annotations

from uuid import UUID

from shared.db import Database, Row, Tx

__all__ = ["get", "insert"]


def insert(tx: Tx, made: UUID, title: str) -> None:
    """Add one record."""
    tx.run("insert into $name (id, title) values (:id, :title)", id=made, title=title)


def get(db: Database, found: UUID) -> Row | None:
    """id, title."""
    return db.one("select id, title from $name where id = :id", id=found)
'''

_HANDLERS = '''"""What $name consumes; the kit itself follows ended sessions."""

from __future__ import annotations

from shared.inbox import Subscriptions

on = Subscriptions("$name")
'''

_CONTRACT = '''"""What $name publishes and accepts."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.messages import Event

__all__ = ["${class_}Created"]


class ${class_}Created(Event):
    """A record exists."""

    key: ClassVar[str] = "${name}_id"

    ${name}_id: UUID
'''

_MIGRATION = """-- The records of $name.
create table $name (
    id uuid primary key,
    title text not null check (length(title) between 1 and 200),
    created_at timestamptz not null default now()
);
"""

_README = """# $title

Keeps the $plain records.

<!-- generated: make docs -->
<!-- /generated -->
"""

_TEST = '''"""$title: what is recorded can be read, and is told to others."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from functions.$name import service
from functions.$name.main import service as deployed
from shared.errors import NotFound
from shared.runtime import connected
from shared.testing_bus import MemoryBus


@pytest.fixture
def bus(service_db: Callable[[str], str]) -> MemoryBus:
    """$title on a fresh database and a bus in memory."""
    bus = MemoryBus()
    connected("$name", service_db("$name"), bus)
    return bus


def test_what_was_recorded_can_be_read(bus: MemoryBus) -> None:
    """A record is there as soon as it has been made."""
    made = service.create("first")
    assert {"id": made, "title": "first"} == service.show(made)


def test_what_is_missing_is_not_found(bus: MemoryBus) -> None:
    """An unknown id is a 404, not an empty answer."""
    with pytest.raises(NotFound):
        service.show(uuid4())


def test_every_route_has_the_services_prefix() -> None:
    """The edge finds the service by its prefix."""
    assert all(route.path.startswith("/api/$path") for route in deployed.api.routes)
'''

FILES = {
    "functions/$name/__init__.py": "",
    "functions/$name/main.py": _MAIN,
    "functions/$name/api.py": _API,
    "functions/$name/service.py": _SERVICE,
    "functions/$name/store.py": _STORE,
    "functions/$name/handlers.py": _HANDLERS,
    "functions/$name/privacy.py": _PRIVACY,
    "functions/$name/migrations/0001_records.sql": _MIGRATION,
    "functions/$name/README.md": _README,
    "shared/contracts/$name.py": _CONTRACT,
    "tests/integration/test_$name.py": _TEST,
}
"""Path -> content."""
