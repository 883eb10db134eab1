"""A message from before an erasure that arrives after it changes nothing, in whatever service.

Every handler of every service is asked, with the stored sample of its message: one that is added
tomorrow is asked, too.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from importlib import import_module
from uuid import UUID, uuid4

import pytest

from infra.local.postgres import Cluster
from infra.manifest import service_names
from shared.db import Database
from shared.inbox import Handler, receive
from shared.messages import Command, Envelope, SagaContext
from shared.saga import replied
from tests.contract.new_samples import SAMPLES, sample_name
from tests.erasure_stack import as_superuser
from tests.platform import EVERY, Platform

_TABLES = """
select c.relname as name from pg_class c
 where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' order by 1
"""
_CLAIMS = "inbox"  # that a message has come, by its id
# What a message about the erased may still do: be on record, end a session.
_AFTER_ALL = {"audit_log", "revocations"}


def _handlers(name: str) -> dict[str, Handler]:
    found: dict[str, Handler] = import_module(f"functions.{name}.main").service.on.handlers
    return {kind: one for kind, one in found.items() if one.message.person_field()}


_CASES = [(name, kind) for name in service_names() for kind in sorted(_handlers(name))]


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """All services, since a handler may ask another one."""
    return Platform(service_db, services=EVERY)


class Place:
    """One service, and somebody who lived in it and was erased."""

    def __init__(self, platform: Platform, name: str, superuser: Database) -> None:
        self.service = platform.services[name]
        self.db, self.superuser, self.person = platform.databases[name], superuser, uuid4()
        self.before: dict[str, list[Envelope]] = {}

    def live(self) -> None:
        """Everything happens once that can, as far as it makes sense alone."""
        for kind, handler in _handlers(self.service.name).items():
            if handler.message.reaches_the_erased:
                continue
            self.before[kind] = [self.message(handler)]
            for env in self.before[kind]:
                with contextlib.suppress(Exception):
                    self.arrives(env, handler)

    def erase(self) -> None:
        """As the service does it."""
        self.db.transaction(
            lambda tx: self.service.privacy.erase(tx, self.person, uuid4()),
            isolation="READ COMMITTED",
        )

    def message(self, handler: Handler, *, undo: bool = False) -> Envelope:
        """The stored sample, about this person, with an id of its own."""
        cls = handler.message
        file = SAMPLES / sample_name(cls, cls.schema_version)
        env = Envelope.parse(file.read_bytes())
        field = cls.person_field()
        assert field is not None
        payload = {**env.payload, field: str(self.person)}
        metadata = env.metadata.model_copy(update={"aggregate_id": str(payload[cls.key])})
        if undo:
            saga = SagaContext(
                saga_id=uuid4(),
                step="a step",
                action="undo",
                orchestrator="auth",
                cancels=uuid4(),
            )
            metadata = metadata.model_copy(update={"saga": saga})
        update = {"event_id": uuid4(), "payload": payload, "metadata": metadata}
        return env.model_copy(update=update)

    def arrives(self, env: Envelope, handler: Handler) -> str:
        """What became of it."""
        topic = next(iter(handler.topics))
        return receive(self.db, self.service.on, env, replied=replied, topic=topic)

    def contents(self) -> dict[str, str]:
        """Table -> the fingerprint of all its rows."""
        return {
            row["name"]: hashlib.sha256(self._rows(row["name"]).encode()).hexdigest()
            for row in self.superuser.all(_TABLES)
            if row["name"] != _CLAIMS
        }

    def _rows(self, table: str) -> str:
        sql = f"select string_agg(t::text, E'\\n' order by t::text) as rows from {table} t"
        return str(self.superuser.all(sql)[0]["rows"])


@pytest.fixture(scope="module")
def places(platform: Platform, cluster: Cluster) -> Iterator[Callable[[str], Place]]:
    """A service's place, where somebody lived and was erased."""
    made: dict[str, Place] = {}

    def place(name: str) -> Place:
        if name not in made:
            superuser = as_superuser(cluster, platform.databases[name])
            made[name] = Place(platform, name, superuser)
            made[name].live()
            made[name].erase()
        return made[name]

    yield place
    for one in made.values():
        one.superuser.close()


@pytest.mark.parametrize(("name", "kind"), _CASES, ids=[f"{n} {kind}" for n, kind in _CASES])
def test_a_late_message_changes_nothing(
    name: str, kind: str, places: Callable[[str], Place]
) -> None:
    """Delivered for the first time, as a saga's undo, or once more: not one row is made, changed
    or deleted, and the message is acknowledged."""
    place, handler = places(name), _handlers(name)[kind]
    undone = [True] if issubclass(handler.message, Command) else []
    late = [place.message(handler), *(place.message(handler, undo=undo) for undo in undone)]
    contents = place.contents()
    if handler.message.reaches_the_erased:
        assert ["handled"] == [place.arrives(env, handler) for env in late]
        changed = {table for table, rows in place.contents().items() if rows != contents[table]}
        assert changed <= _AFTER_ALL
        return
    assert {"erased"} == {place.arrives(env, handler) for env in late}
    assert contents == place.contents()
    # The same again; and what took effect in the person's life, or could not.
    again = {place.arrives(env, handler) for env in (*late, *place.before[kind])}
    assert again <= {"duplicate", "erased"}
    assert contents == place.contents()


def test_every_service_that_knows_people_is_asked() -> None:
    """None of the services is left out because its handlers were not found."""
    asked = {name for name, _ in _CASES}
    knowing = {
        name
        for name in service_names()
        if import_module(f"functions.{name}.main").service.privacy.tables
    }
    assert knowing <= asked


def test_the_look_at_all_rows_sees_a_change(places: Callable[[str], Place]) -> None:
    """One more row anywhere is noticed: what says that nothing changed can say otherwise."""
    place = places("patient")
    before = place.contents()
    place.superuser.all(
        "insert into early_emails (patient_id, email, email_version)"
        " values (:p, 'late@example.com', 1)",
        p=UUID(int=1),
    )
    assert {"early_emails"} == {t for t, rows in place.contents().items() if rows != before[t]}
