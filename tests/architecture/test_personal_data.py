"""Every table of every service is declared: where people stand in it, or that they do not."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import pytest

from infra.manifest import service_names
from shared.db import Database
from shared.runtime import Service

KIT = {
    "audit_log": "ids only; stays, to show who read what",
    "audit_seals": "about nobody",
    "dead_letters": "sealed; an erasure deletes those that name the person",
    "documents": "erased by the service's Privacy.outside",
    "erased_people": "ids only; the tombstones",
    "event_epochs": "about nobody",
    "events": "personal fields are sealed with the person's key; structure and counts stay",
    "idempotency_keys": "sealed; an erasure deletes the person's",
    "inbox": "ids of messages",
    "known_people": "ids only; an erasure deletes the person's",
    "leases": "about nobody",
    "outbox": "emptied within seconds; receivers drop what is about the erased",
    "projections": "about nobody",
    "revocations": "ids only, for minutes",
    "saga_log": "names of steps",
    "sagas": "sealed; an erasure empties the person's",
    "schema_migrations": "about nobody",
    "service_keys": "about nobody",
    "snapshots": "sealed; deleted with the person's key",
    "subject_keys": "an erasure deletes the person's",
}
"""The kit's own tables, and why none of them keeps anything of a person who was erased."""

_TABLES = (
    "select c.relname as name from pg_class c"
    " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1"
)
_COLUMNS = (
    "select a.attname as name from pg_attribute a where a.attrelid = cast(:t::text as regclass)"
    " and a.attnum > 0 and not a.attisdropped"
)


def _tables(url: str) -> set[str]:
    return {row["name"] for row in Database(url).all(_TABLES)}


def _service(name: str) -> Service:
    found: Service = import_module(f"functions.{name}.main").service
    return found


def test_every_table_of_the_kit_is_accounted_for(kit_db: Callable[[], str]) -> None:
    """A new table of the kit needs a decision: what does an erasure do with it?"""
    assert set(KIT) == _tables(kit_db())


@pytest.mark.parametrize("name", service_names())
def test_every_table_is_declared(name: str, service_db: Callable[[str], str]) -> None:
    """A service's own tables are personal or impersonal, none both and none forgotten."""
    privacy = _service(name).privacy
    personal = {declared.table for declared in privacy.tables}
    assert set() == personal & privacy.impersonal
    assert (personal | privacy.impersonal) - set(KIT) == _tables(service_db(name)) - set(KIT)


@pytest.mark.parametrize("name", service_names())
def test_every_declared_column_exists(name: str, service_db: Callable[[str], str]) -> None:
    """What an export shows and how a person's rows are found fits the tables."""
    db = Database(service_db(name))
    for declared in _service(name).privacy.tables:
        columns = {row["name"] for row in db.all(_COLUMNS, t=declared.table)}
        wanted = {*declared.plain, *declared.sealed, *declared.change}
        if declared.where is None:
            wanted.add(declared.person)
        assert set() == wanted - columns, declared.table
