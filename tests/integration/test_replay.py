"""The command that compares read models with their events, or makes them anew."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra import manifest, replay
from infra.local import databases, defunct, postgres
from infra.local.keyring import Keyring
from shared.config import config
from shared.http import Api
from shared.leases import take
from shared.runtime import Service
from tests.projection_stack import Visits, tables, visits


@pytest.fixture
def world(kit_db: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Visits:
    """A platform of two services, of which one has a read model."""
    url = kit_db()
    tables(url)
    made = visits(url)
    services = [
        Service("alone", api=Api("alone", "/api/alone")),
        Service("visiting", api=Api("visiting", "/api/visiting"), projections=[made.projector]),
    ]
    monkeypatch.setattr(manifest, "load", lambda: services)
    return made


def test_a_read_model_that_fits_its_events(
    world: Visits, capsys: pytest.CaptureFixture[str]
) -> None:
    """Says so, and exits with 0."""
    world.came(2, follow=True)
    assert 0 == replay.main(["--check", "--service", "visiting"])
    assert "visiting: visits: as its events make it\n" == capsys.readouterr().out


def test_a_read_model_that_does_not(world: Visits, capsys: pytest.CaptureFixture[str]) -> None:
    """Names every row by its key and what differs, never what it says, and exits with 1."""
    ana, ion = world.came(2, follow=True)
    world.db.all("update visits_a set name = 'Somebody', came = 5 where person_id = :id", id=ana)
    world.db.all("delete from visits_a where person_id = :id", id=ion)
    assert 1 == replay.main(["--check", "--service", "visiting"])
    assert {
        f'visiting: visits: changed in visits: {{"person_id": "{ana}"}}: came, name',
        f'visiting: visits: missing in visits: {{"person_id": "{ion}"}}',
    } == set(capsys.readouterr().out.splitlines())


def test_many_differences_are_counted(world: Visits, capsys: pytest.CaptureFixture[str]) -> None:
    """Fifty are shown, the rest is a number."""
    world.came(60, follow=True)
    world.db.all("delete from visits_a")
    assert 1 == replay.main(["--check", "--service", "visiting"])
    lines = capsys.readouterr().out.splitlines()
    assert (51, "visiting: visits: and 10 more") == (len(lines), lines[-1])


def test_it_is_made_anew(world: Visits, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --check the read model is mended, and then fits its events."""
    [ana] = world.came(times=3, follow=True)
    world.db.all("update visits_a set came = 7")
    assert 0 == replay.main(["--service", "visiting"])
    assert "visiting: visits: made anew from 3 events\n" == capsys.readouterr().out
    assert {ana: 3} == world.counts()
    assert 0 == replay.main(["--check", "--service", "visiting"])


def test_a_service_without_read_models(world: Visits, capsys: pytest.CaptureFixture[str]) -> None:
    """Has nothing to compare."""
    assert (0, "") == (replay.main(["--check", "--service", "alone"]), capsys.readouterr().out)


def test_what_cannot_be_told(world: Visits, capsys: pytest.CaptureFixture[str]) -> None:
    """A service there is not, and somebody else at it: exit 2 and the reason."""
    assert 2 == replay.main(["--check", "--service", "nobody"])
    assert "there is no service nobody" in capsys.readouterr().err
    world.projector.register()
    assert None is not take(world.db, "projection visits", 60)
    assert 2 == replay.main(["--check", "--service", "visiting"])
    assert "Somebody is rebuilding or checking" in capsys.readouterr().err


@pytest.fixture(scope="module")
def platform() -> Iterator[Path]:
    """The directory of a platform that was stopped, which PostgreSQL's own user can reach while
    other test runs begin."""
    directory = Path(tempfile.mkdtemp(prefix="dentalhelp-replay-"))
    names = manifest.service_names()
    keys = Keyring.open(directory, databases.roles(names))
    cluster = postgres.start(directory / "postgres")
    databases.prepare(cluster, names, keys)
    cluster.stop()
    yield directory
    defunct.kill(directory / "postgres")
    shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize(
    ("options", "verdict"),
    [(["--check"], "as its events make it"), ([], "made anew from 0 events")],
)
def test_every_read_model_of_a_platform(platform: Path, options: list[str], verdict: str) -> None:
    """On one machine the directory is enough: it starts what is needed, and ends it again."""
    read_models = [
        f"{service.name}: {projector.projection.name}: {verdict}"
        for service in manifest.load()
        for projector in service.projections
    ]
    done = subprocess.run(
        [sys.executable, "-m", "infra.replay", *options],
        env={"DATA": str(platform), "PATH": os.environ["PATH"]},
        cwd=manifest.ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (0, "", read_models) == (done.returncode, done.stderr, done.stdout.splitlines())
    assert False is (platform / "postgres" / "postmaster.pid").exists()


def test_where_there_is_no_platform(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    """A directory without one is named, exit 2."""
    monkeypatch.setenv("DATA", str(tmp_path))
    assert 2 == replay.main(["--check"])
    assert "There is no platform in" in capsys.readouterr().err


def test_where_settings_are_missing(
    world: Visits, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In an environment that is no service's it says what is missing, exit 2."""
    monkeypatch.delenv("KMS_KEY")
    config.cache_clear()
    try:
        assert 2 == replay.main(["--check", "--service", "visiting"])
    finally:
        monkeypatch.undo()
        config.cache_clear()
    assert "missing: KMS_KEY" in capsys.readouterr().err
