"""What the services of one process share, as the embedded platform hosts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from shared.bus_embedded import configure
from shared.config import config
from shared.db import Database
from shared.handles import database
from tests.integration import outbox_stack
from tests.integration.test_bus_embedded import subscription


@pytest.fixture
def environment() -> Iterator[pytest.MonkeyPatch]:
    """Settings of this test's own."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch
    config.cache_clear()


def test_a_thread_keeps_one_connection_to_the_bus_for_all_services(
    kit_db: Callable[[], str], bus_url: str, environment: pytest.MonkeyPatch
) -> None:
    """Two services publish in turn: the second uses the connection that the first has opened."""
    wanted = [subscription(f"reader.{topic}", topic) for topic in ("one", "two")]
    configure(Database(bus_url), wanted)
    environment.setenv("BUS_URL", f"{bus_url}&of=this-test")
    for service in ("one", "two"):
        url = kit_db()
        outbox_stack.aggregates(url)
        environment.setenv(f"{service.upper()}_DATABASE_URL", url)
    config.cache_clear()
    look = Database(bus_url)

    def opened() -> set[int]:
        # Others' connections may end at any moment: a new one is told by its process.
        name = urlsplit(bus_url).path.lstrip("/")
        rows = look.all(
            "select pid from pg_stat_activity"
            " where datname = :name and backend_type = 'client backend'",
            name=name,
        )
        return {row["pid"] for row in rows}

    before = opened()
    for service in ("one", "two"):
        outbox_stack.tick(database(service), "thing")
        assert 0 == outbox_stack.waiting(database(service)), "it was not published"
    assert 1 == len(opened() - before)
