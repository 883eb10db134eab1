"""Revocations: what is refused, how old the knowledge may be, and what happens without it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import Unavailable
from shared.revocations import LONGEST_LIFE, Revocations, purge_revocations, revoke
from shared.types import uuid7

AT = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
ANA, ION, DESK, PHONE = uuid7(), uuid7(), uuid7(), uuid7()


class Table:
    """Rows that can be changed, counted and taken away; and the time."""

    def __init__(self, *rows: tuple[Any, Any, datetime]) -> None:
        self.rows = list(rows)
        self.queries = 0
        self.away = False
        self.time = 0.0

    def query(self, sql: str, /, **params: Any) -> list[dict[str, Any]]:
        self.queries += 1
        if self.away:
            raise Unavailable
        return [{"subject": s, "session": d, "revoked_at": at} for s, d, at in self.rows]

    def revocations(self) -> Revocations:
        return Revocations(self.query, monotonic=lambda: self.time)


def test_a_session_is_revoked_alone() -> None:
    """Ending one session leaves the person's other sessions and other people alone."""
    seen = Table((ANA, DESK, AT)).revocations()
    assert seen.revoked(ANA, DESK, AT.timestamp())
    assert seen.revoked(ANA, DESK, AT.timestamp() + 300)  # from a machine whose clock is ahead
    assert not seen.revoked(ANA, PHONE, AT.timestamp())
    assert not seen.revoked(ION, DESK, AT.timestamp())


def test_a_person_is_revoked_in_all_sessions() -> None:
    """Revoking a person refuses every token up to that moment and none issued later."""
    seen = Table((ANA, None, AT)).revocations()
    later = (AT + timedelta(microseconds=1)).timestamp()
    assert seen.revoked(ANA, DESK, AT.timestamp())
    assert seen.revoked(ANA, PHONE, AT.timestamp() - 500)
    assert not seen.revoked(ANA, DESK, later)
    assert not seen.revoked(ION, DESK, AT.timestamp())


def test_one_query_a_second() -> None:
    """However many requests, the table is read once a second and news is seen by then."""
    table = Table()
    seen = table.revocations()
    for _ in range(100):
        assert not seen.revoked(ANA, DESK, AT.timestamp())
    table.rows.append((ANA, DESK, AT))
    assert 1 == table.queries
    table.time = 1.0
    assert seen.revoked(ANA, DESK, AT.timestamp())
    assert 2 == table.queries


def test_threads_share_one_query() -> None:
    """Threads that find the knowledge too old cause one query and all wait for it."""
    table = Table((ANA, DESK, AT))
    seen = table.revocations()
    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(lambda _: seen.revoked(ANA, DESK, AT.timestamp()), range(64)))
    assert all(asked)
    assert 1 == table.queries


def test_without_the_database_nobody_is_let_in() -> None:
    """When the table cannot be read it is Unavailable, briefly without asking again."""
    table = Table()
    seen = table.revocations()
    assert not seen.revoked(ANA, DESK, AT.timestamp())
    table.away = True
    table.time = 1.0
    for _ in range(10):
        with pytest.raises(Unavailable):
            seen.revoked(ANA, DESK, AT.timestamp())
    assert 2 == table.queries
    table.away = False
    table.time = 1.3
    assert not seen.revoked(ANA, DESK, AT.timestamp())


class Recorder:
    """A transaction that notes what it is told to run."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, dict[str, Any]]] = []

    def run(self, sql: str, /, **params: Any) -> int:
        self.ran.append((sql, params))
        return 1


def test_a_revocation_outlives_every_token_it_speaks_of() -> None:
    """A row is kept for longer than any token issued before it can live."""
    tx = Recorder()
    revoke(tx, ANA, None, AT)
    _, params = tx.ran[0]
    assert (ANA, None, AT) == (params["subject"], params["session"], params["at"])
    assert params["expires"] > AT + LONGEST_LIFE
    assert 1 == purge_revocations(tx)
