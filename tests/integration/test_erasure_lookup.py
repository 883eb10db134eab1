"""An erasure and an export read what is about the person, however much is about others."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from shared import personal as kit
from shared.db import Database, Tx
from tests.platform import EVERY, Platform


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """Every service's tables."""
    return Platform(service_db, services=EVERY)


def _plan(db: Database, sql: str) -> str:
    """How PostgreSQL runs ``sql`` where it avoids reading whole tables if it can."""

    def work(tx: Tx) -> str:
        tx.run("set local enable_seqscan = off")
        return "\n".join(row["QUERY PLAN"] for row in tx.all(f"explain {sql}", person=uuid4()))

    return db.transaction(work)


@pytest.mark.parametrize("service", EVERY)
def test_no_table_is_read_as_a_whole(platform: Platform, service: str) -> None:
    """Whatever is declared as personal, and what the kit keeps, is found by an index."""
    db = platform.databases[service]
    declared = platform.services[service].privacy.tables
    asked = {t.table: f"select from {t.table} where {t.mine}" for t in declared} | kit.KIT
    slow = {name for name, sql in asked.items() if "Seq Scan" in _plan(db, sql)}
    assert set() == slow
