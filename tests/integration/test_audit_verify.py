"""``make audit-verify``: a platform's audit logs against their seals, by its directory or not."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra import manifest
from infra.audit_verify import main
from infra.local import databases, defunct, postgres, preflight
from infra.local.keyring import Keyring
from shared import audit
from shared.audit_seals import Place, seal
from shared.blobs import Blobs, blobs
from shared.config import config
from shared.crypto import Vault
from shared.db import Database
from shared.kms import kms

_SHOW = audit.audited("select gen_random_uuid() as person_id", action="read", what="profile")


@pytest.fixture
def no_cache() -> Iterator[None]:
    """Settings and stores are read anew, before and after."""
    for cached in (config, blobs):
        cached.cache_clear()
    yield
    for cached in (config, blobs):
        cached.cache_clear()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A platform's, which PostgreSQL's own user can reach while other test runs begin."""
    made = Path(tempfile.mkdtemp(prefix="dentalhelp-audit-"))
    yield made
    defunct.kill(made / "postgres")
    shutil.rmtree(made, ignore_errors=True)


def _write(place: Place, seals: int) -> None:
    for _ in range(seals):
        place.db.all(_SHOW, **audit.who())
        deadline = time.monotonic() + 60
        while not seal(place):  # PostgreSQL's own transactions may hold it back
            assert time.monotonic() < deadline
            time.sleep(0.01)


def _platform(directory: Path) -> tuple[postgres.Cluster, str]:
    """A stopped platform whose patient service has two seals; its superuser's URL once started."""
    names = manifest.service_names()
    keys = Keyring.open(directory, databases.roles(names))
    cluster = postgres.start(directory / "postgres", {"fsync": "off"})
    urls = databases.prepare(cluster, names, keys)
    db = Database(urls["patient"])
    vault = Vault(db, kms(f"local:{keys.kms_key}"))
    _write(Place("patient", db, vault, Blobs((directory / "blobs").as_uri())), 2)
    db.close()
    return cluster, postgres.database_url(
        cluster.socket_dir, "postgres", cluster.password, "patient_db"
    )


def test_a_platform_is_checked_running_or_not(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every service gets a line; PostgreSQL afterwards runs as it did before."""
    monkeypatch.setenv("DATA", str(directory))
    cluster, url = _platform(directory)
    with preflight.exclusive(directory, "this test"):
        superuser = Database(url)
        assert 0 == main([])
        superuser.all("update audit_log set what = 'email' where id = 2")
        capsys.readouterr()
        assert 1 == main([])
        superuser.close()
    told = capsys.readouterr().out.splitlines()
    assert "patient: seal 2: changed: one or more of its 1 rows" in told
    assert {f"{name}: 0 seals over 0 rows" for name in manifest.service_names()} - {
        "patient: 0 seals over 0 rows"
    } <= {line.partition(",")[0] for line in told}
    cluster.stop()
    assert 1 == main([])
    assert not (directory / "postgres" / "postmaster.pid").exists()


def test_one_service_is_checked_by_its_environment(
    kit_db: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_cache: None,
) -> None:
    """As in the cloud: the settings that the service runs with say where everything is."""
    url = kit_db()
    monkeypatch.setenv("KIT_DATABASE_URL", url)
    monkeypatch.setenv("BLOBS_URL", tmp_path.as_uri())
    config.cache_clear()
    db = Database(url)
    _write(Place("kit", db, Vault(db), blobs()), 1)
    assert 0 == main(["--service", "kit"])
    assert "kit: 1 seals over 1 rows, 0 rows wait for the next one\n" == capsys.readouterr().out
    shutil.rmtree(tmp_path / "audit")
    assert 1 == main(["--service", "kit"])


@pytest.mark.parametrize("arguments", [[], ["--service", "nobody"]])
def test_what_cannot_be_checked_is_not_called_sound(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No platform there, no such service: one line and another exit code than a fault's."""
    monkeypatch.setenv("DATA", str(tmp_path / "nothing"))
    assert 2 == main(arguments)
    assert capsys.readouterr().err.startswith("The audit log cannot be checked: ")
    assert not (tmp_path / "nothing").exists()
