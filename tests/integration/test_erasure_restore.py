"""A restored backup brings erased people back: the ledger erases them again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pytest
from werkzeug.serving import make_server

from infra import erasures_replay
from infra.local.postgres import Cluster
from shared.blobs import blobs
from shared.config import config
from shared.testing import frozen
from tests.erasure_stack import (
    NEEDLES,
    as_superuser,
    dump,
    enter,
    erase,
    follow,
    found_in,
    restore,
)
from tests.platform import PASSWORD, Platform

_PATH = "/api/auth/-/erasures/replay"


@pytest.fixture
def platform(
    service_db: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Platform]:
    """Fresh databases, and a ledger with nothing from other tests."""
    monkeypatch.setenv("BLOBS_URL", (tmp_path / "blobs").as_uri())
    blobs.cache_clear()
    yield Platform(service_db)
    monkeypatch.undo()
    config.cache_clear()
    blobs.cache_clear()


def _since(moment: datetime) -> dict[str, str]:
    return {"since": moment.isoformat()}


def _known(cluster: Cluster, platform: Platform) -> set[str]:
    """Services that know the person."""
    return {
        name
        for name, db in platform.databases.items()
        if found_in(as_superuser(cluster, db), NEEDLES)
    }


def _back_up(cluster: Cluster, platform: Platform, folder: Path) -> None:
    for name, db in platform.databases.items():
        dump(cluster, db, folder / f"{name}.dump")


@pytest.mark.parametrize("lost", [("auth", "patient"), ("patient",), ("auth",)])
def test_a_restore_does_not_bring_anybody_back(
    platform: Platform, cluster: Cluster, tmp_path: Path, lost: tuple[str, ...]
) -> None:
    """From a dump of before the erasure the person comes back; after the replay nothing of them
    is left in any service, under the same id, with the same receipt. Others are untouched."""
    patient_id, token = enter(platform)
    other = platform.register("other@example.com")["patient_id"]
    admin = platform.admin()
    _back_up(cluster, platform, tmp_path)
    taken = datetime.now(UTC)
    erasure_id = erase(platform, patient_id, token)
    platform.drain()
    before = follow(platform, erasure_id)
    assert ("COMPLETED", set()) == (before["status"], _known(cluster, platform))

    for name in lost:
        restore(cluster, platform.databases[name], tmp_path / f"{name}.dump")
    assert set(lost) == _known(cluster, platform)
    answer = platform.call("POST", _PATH, _since(taken), token=admin)
    assert {"replayed": 1, "unreadable": []} == answer.json
    platform.drain()
    after = follow(platform, erasure_id)
    assert ("COMPLETED", before["receipt"]) == (after["status"], after["receipt"])
    assert set() == _known(cluster, platform)
    shown = platform.call("GET", f"/api/patients/{other}", token=admin)
    assert (200, "Ana") == (shown.status_code, (shown.json or {})["first_name"])
    assert platform.token("other@example.com")


def test_an_answer_younger_than_the_backup_is_asked_for_again(
    platform: Platform, cluster: Cluster, tmp_path: Path
) -> None:
    """Who was asked before the backup and erased after it is asked again, too."""
    patient_id, token = enter(platform)
    with frozen(datetime.now(UTC)) as clock:
        erasure_id = erase(platform, patient_id, token)
        clock.advance(timedelta(days=1))
        _back_up(cluster, platform, tmp_path)
        taken = clock.now()
        platform.drain()
        assert set() == _known(cluster, platform)
        restore(cluster, platform.databases["patient"], tmp_path / "patient.dump")
        assert {"patient"} == _known(cluster, platform)
        later = platform.call("POST", _PATH, _since(taken), token=platform.admin())
        assert 1 == (later.json or {})["replayed"]
        platform.drain()
        assert set() == _known(cluster, platform)
        assert "COMPLETED" == follow(platform, erasure_id)["status"]
        clock.advance(timedelta(hours=2))
        nothing = platform.call("POST", _PATH, _since(clock.now()), token=platform.admin())
        assert 0 == (nothing.json or {})["replayed"]


@pytest.mark.parametrize(
    "since", ["0900-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_a_moment_that_no_backup_is_from_is_refused(platform: Platform, since: str) -> None:
    """A slip in the year is named, and is neither a replay of nothing nor a failure."""
    answer = platform.call("POST", _PATH, {"since": since}, token=platform.admin())
    assert 422 == answer.status_code
    assert "/since" == (answer.json or {})["errors"][0]["pointer"]


def test_replaying_without_a_restore_does_no_harm(platform: Platform) -> None:
    """Everybody answers again what they answered before."""
    patient_id, token = enter(platform)
    start = datetime.now(UTC)
    erasure_id = erase(platform, patient_id, token)
    platform.drain()
    before = follow(platform, erasure_id)
    platform.call("POST", _PATH, _since(start), token=platform.admin())
    platform.drain()
    after = follow(platform, erasure_id)
    for shown in (before, after):
        for part in shown["services"].values():
            del part["at"]
    assert before == after


@contextmanager
def _served(platform: Platform) -> Iterator[str]:
    """The platform over real HTTP; its URL."""
    server = make_server("127.0.0.1", 0, platform.app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_command_replays_and_names_what_it_cannot_read(
    platform: Platform,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It says how many were erased again; an entry that is damaged makes it fail, by name, after
    all the others."""
    patient_id, token = enter(platform)
    erase(platform, patient_id, token)
    platform.admin()
    admin = tmp_path / "admin.json"
    admin.write_text(json.dumps({"email": "admin@example.com", "password": PASSWORD}))
    monkeypatch.setenv("ADMIN_FILE", str(admin))
    monkeypatch.setenv("SINCE", "2026-01-01T00:00:00Z")
    with _served(platform) as url:
        monkeypatch.setenv("URL", url)
        assert 0 == erasures_replay.main()
        assert "Erasures applied again: 1\n" in capsys.readouterr().out
        ledger = Path(unquote(urlsplit(config().blobs_url).path)) / "erasures"
        damaged = ledger / "2999" / "01" / "01" / f"29990101T000000.000000Z-{uuid4()}.json"
        damaged.parent.mkdir(parents=True)
        damaged.write_text("{}")
        assert 1 == erasures_replay.main()
        told = capsys.readouterr()
    assert "Erasures applied again: 1\n" in told.out
    assert damaged.name in told.err


@pytest.mark.parametrize("since", ["", "yesterday", "2026-01-15T10:00:00"])
def test_the_command_wants_a_moment(
    since: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a time and its zone nothing is done."""
    monkeypatch.setenv("SINCE", since)
    assert 1 == erasures_replay.main()
    assert "2026-01-15T10:00:00Z" in capsys.readouterr().err


def test_the_command_says_when_nobody_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A platform that does not run is one line, not a stack."""
    admin = tmp_path / "admin.json"
    admin.write_text(json.dumps({"email": "admin@example.com", "password": PASSWORD}))
    for name, value in {
        "SINCE": "2026-01-15T10:00:00Z",
        "ADMIN_FILE": str(admin),
        "URL": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    assert 1 == erasures_replay.main()
    assert 1 == len(capsys.readouterr().err.splitlines())
