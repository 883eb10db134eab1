"""PostgreSQL stops, is killed, and comes back; the service recovers by itself."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import defunct, postgres
from shared.db import Database, Tx
from shared.errors import Unavailable


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """A cluster of this module's own, to be maltreated."""
    made = Path(tempfile.mkdtemp(prefix="dentalhelp-away-"))
    postgres.start(made / "data", {"shared_buffers": "16MB"})
    yield made
    postgres.start(made / "data").stop()
    shutil.rmtree(made, ignore_errors=True)


def _stop(data_dir: Path) -> None:
    postgres.start(data_dir).stop()


def _kill(data_dir: Path) -> None:
    # Until its backends have noticed, too: one of them might still answer.
    defunct.kill(data_dir)


@pytest.mark.parametrize("end", [_stop, _kill], ids=["stopped", "killed"])
def test_away_is_503_and_back_is_back(directory: Path, end: object) -> None:
    """While PostgreSQL is away every call is Unavailable; after its restart they work, unaided."""
    assert callable(end)
    cluster = postgres.start(directory / "data")
    db = Database(cluster.admin_url)
    db.all("create table if not exists kept (n int)")
    db.all("truncate kept")
    db.transaction(lambda tx: tx.run("insert into kept values (1)"))
    end(directory / "data")

    def add(tx: Tx) -> int:
        return tx.run("insert into kept values (:n)", n=2)

    for _ in range(3):
        with pytest.raises(Unavailable) as refused:
            db.transaction(add)
        assert 503 == refused.value.status
        with pytest.raises(Unavailable):
            db.one("select 1 as one")
    defunct.clear(directory / "data")
    again = postgres.start(directory / "data")
    assert again.admin_url == cluster.admin_url
    for _ in range(1200):
        # A server that recovers from a crash refuses connections for a moment (57P03).
        try:
            assert 1 == db.transaction(add)
            break
        except Unavailable:
            time.sleep(0.05)
    assert [{"n": 1}, {"n": 2}] == db.all("select n from kept order by n")
    db.close()


def test_starting_twice_finds_the_running_server(directory: Path) -> None:
    """A second start of the same data is the same server with the same password."""
    first, second = postgres.start(directory / "data"), postgres.start(directory / "data")
    assert (first.pid, first.admin_url) == (second.pid, second.admin_url)
