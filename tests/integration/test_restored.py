"""``make restored``: every service of a platform begins a new epoch of events and audit rows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra import manifest
from infra.local import databases, defunct, postgres, preflight
from infra.local.keyring import Keyring
from infra.restored import main
from shared.config import config
from shared.db import Database
from tests.eventstore_stack import ChairMoved, world

_NEXT = "Now apply the erasures since then again: make erasures-replay SINCE=..."


@pytest.fixture
def directory() -> Iterator[Path]:
    """A platform's, which PostgreSQL's own user can reach while other test runs begin."""
    made = Path(tempfile.mkdtemp(prefix="dentalhelp-restored-"))
    yield made
    defunct.kill(made / "postgres")
    shutil.rmtree(made, ignore_errors=True)


def _epoch(url: str) -> int:
    db = Database(url)
    row = db.one("select epoch from event_epochs")
    db.close()
    assert row is not None
    epoch: int = row["epoch"]
    return epoch


def test_a_platform_is_told_by_its_directory(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every service, whether the platform runs or not; and the next step is named."""
    monkeypatch.setenv("DATA", str(directory))
    names = manifest.service_names()
    keys = Keyring.open(directory, databases.roles(names))
    cluster = postgres.start(directory / "postgres", {"fsync": "off"})
    urls = databases.prepare(cluster, names, keys)

    def announced(epoch: int) -> None:
        assert 0 == main([])
        lines = [f"{name}: epoch {epoch} of its events and audit rows begins" for name in names]
        assert [*lines, _NEXT] == capsys.readouterr().out.splitlines()

    with preflight.exclusive(directory, "this test"):
        announced(2)
        assert {2} == {_epoch(urls[name]) for name in names}
    cluster.stop()
    announced(3)
    assert not (directory / "postgres" / "postmaster.pid").exists()


def test_one_service_is_told_by_its_environment(
    kit_db: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As in the cloud; what is appended then belongs to the new epoch."""
    url = kit_db()
    monkeypatch.setenv("KIT_DATABASE_URL", url)
    config.cache_clear()
    assert 0 == main(["--service", "kit"])
    config.cache_clear()
    assert [
        "kit: epoch 2 of its events and audit rows begins",
        _NEXT,
    ] == capsys.readouterr().out.splitlines()
    store = world(url)
    store.append(store.stream("chair"), ChairMoved(room=1))
    assert [2] == [event.cursor.epoch for event in store.read()]


@pytest.mark.parametrize("arguments", [[], ["--service", "nobody"]])
def test_what_was_not_told_is_said(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No platform there, no such service: one line on stderr, exit 1."""
    monkeypatch.setenv("DATA", str(tmp_path / "nothing"))
    assert 1 == main(arguments)
    assert capsys.readouterr().err.startswith("Not announced everywhere: ")
