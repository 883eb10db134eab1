"""Exports as archives: a ZIP with everything and the means to check it, made by a job."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.request import urlopen
from uuid import UUID, uuid4
from wsgiref.simple_server import WSGIRequestHandler, make_server
from zipfile import ZipFile

import pytest

from functions.auth import domain
from functions.auth.service import archives, exports
from functions.auth.store import exports as store
from infra.local.objects import Objects
from shared.blobs import objects
from shared.clocks import clock
from shared.config import config
from shared.privacy import ExportFile
from shared.testing import frozen
from tests.erasure_stack import enter, erase
from tests.platform import Platform

_IMAGES = {"xrays/1.png": b"\x89PNG" + bytes(range(256)) * 20, "xrays/2.dcm": b"DICM" * 3000}


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Tests have logs of their own."""


class Files:
    """What a service has as objects about each person, and says of them."""

    def __init__(self) -> None:
        self.said: dict[UUID, list[ExportFile]] = {}

    def keep(self, person: UUID, images: Mapping[str, bytes], **wrong: Any) -> None:
        """Put the objects there; ``wrong`` is said of the last one instead of the truth."""
        self.said[person] = []
        for number, (name, data) in enumerate(images.items()):
            path = f"images/{person}/{number}"
            with objects().write(path) as made:
                made.write(data)
            url = objects().presign_get(path, expires=timedelta(minutes=5))
            file = ExportFile(name, url, hashlib.sha256(data).hexdigest(), len(data))
            self.said[person].append(file)
        if wrong:
            self.said[person][-1] = dataclasses.replace(self.said[person][-1], **wrong)


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    """The embedded gateway, which serves what was signed."""
    missing = lambda environ, start: start("404 Not Found", []) or []  # noqa: E731
    with make_server("127.0.0.1", 0, Objects(missing), handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def platform(
    service_db: Callable[[str], str], gateway: str, files: Files, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Platform]:
    """Notification has original files, too."""
    monkeypatch.setenv("PUBLIC_URL", gateway)
    monkeypatch.setenv("SERVICES_URL", "http://127.0.0.1:8080")
    made = Platform(service_db)
    privacy = made.services["notification"].privacy
    # The routes have this declaration already; it is a value that never changes otherwise.
    was = privacy.files
    object.__setattr__(privacy, "files", lambda tx, person: files.said.get(person, []))
    yield made
    object.__setattr__(privacy, "files", was)
    monkeypatch.undo()
    config.cache_clear()


def _order(platform: Platform, patient_id: str, token: str) -> str:
    body = {"patient_id": patient_id}
    answer = platform.call("POST", "/api/auth/exports", body, token=token)
    assert 202 == answer.status_code, answer.text
    found = str((answer.json or {})["export_id"])
    assert f"/api/auth/exports/jobs/{found}" == answer.headers["Location"]
    return found


def _follow(platform: Platform, export_id: str, token: str) -> dict[str, Any]:
    answer = platform.call("GET", f"/api/auth/exports/jobs/{export_id}", token=token)
    assert 200 == answer.status_code, answer.text
    found: dict[str, Any] = answer.json or {}
    return found


def _fetched(url: str) -> ZipFile:
    with urlopen(url, timeout=60) as answer:
        return ZipFile(BytesIO(answer.read()))


def _archives(person: str) -> list[str]:
    return list(objects().list(f"exports/{person}"))


def test_the_archive_has_everything_and_can_be_checked(platform: Platform, files: Files) -> None:
    """JSON of each service, the original files bit by bit, and a manifest with the SHA-256 of
    every member; progress before, a link for minutes after, each on record."""
    patient_id, token = enter(platform)
    files.keep(UUID(patient_id), _IMAGES)
    export_id = _order(platform, patient_id, token)
    waiting = _follow(platform, export_id, token)
    assert ("QUEUED", None, None) == tuple(waiting[k] for k in ("state", "files_all", "url"))
    assert 1 == archives.make_next()
    ready = _follow(platform, export_id, token)
    size = sum(map(len, _IMAGES.values()))
    done = {name: ready[name] for name in ("files_done", "files_all", "bytes_done", "bytes_all")}
    assert {"files_done": 2, "files_all": 2, "bytes_done": size, "bytes_all": size} == done
    with _fetched(ready["url"]) as found:
        assert found.testzip() is None
        manifest = json.loads(found.read("manifest.json"))
        sums = {
            name: {"sha256": hashlib.sha256(found.read(name)).hexdigest(), "size": info.file_size}
            for name, info in ((info.filename, info) for info in found.infolist())
            if name != "manifest.json"
        }
        assert sums == manifest["members"]
        assert {f"files/notification/{name}" for name in _IMAGES} < sums.keys()
        for name, data in _IMAGES.items():
            assert data == found.read(f"files/notification/{name}")
        patient = json.loads(found.read("patient.json"))
        assert "Zenobiella" == patient["patients"][0]["first_name"]
        assert {"auth.json", "notification.json", "patient.json"} < sums.keys()
    assert (patient_id, "SHA-256") == (manifest["patient_id"], manifest["algorithm"])
    assert ready["size"] == objects().stat(_archives(patient_id)[0]).size  # type: ignore[union-attr]
    looks = platform.databases["auth"].all(
        "select what from audit_log where person_id = :p and action = 'export' order by id",
        p=UUID(patient_id),
    )
    assert ["archive", "everything", "archive link"] == [row["what"] for row in looks]


def test_who_may_have_it(platform: Platform, files: Files) -> None:
    """The person and ADMINs of the group; for all others there is no such export."""
    patient_id, token = enter(platform)
    _, other = enter(platform, "other@example.com", national_id=None)
    admin = platform.admin()
    body = {"patient_id": patient_id}
    assert 403 == platform.call("POST", "/api/auth/exports", body, token=other).status_code
    unknown = {"patient_id": str(uuid4())}
    assert 404 == platform.call("POST", "/api/auth/exports", unknown, token=admin).status_code
    export_id = _order(platform, patient_id, token)
    assert export_id == _order(platform, patient_id, admin)
    path = f"/api/auth/exports/jobs/{export_id}"
    assert 404 == platform.call("GET", path, token=other).status_code
    assert "QUEUED" == _follow(platform, export_id, admin)["state"]


def test_many_who_ask_at_once_get_one(platform: Platform) -> None:
    """Requests that race make one export, which is made once, whoever begins."""
    patient_id, token = enter(platform)
    gate = threading.Barrier(4)

    def ask(_: int) -> str:
        gate.wait()
        return _order(platform, patient_id, token)

    with ThreadPoolExecutor(4) as pool:
        assert 1 == len(set(pool.map(ask, range(4))))
    assert [0, 1] == sorted([archives.make_next(), archives.make_next()])
    assert 1 == len(_archives(patient_id))


@pytest.mark.parametrize(
    "wrong",
    [{"sha256": "0" * 64}, {"size": 5}, {"size": 10**6}, {"name": "../up"}],
    ids=["another sum", "longer", "shorter", "leads elsewhere"],
)
def test_a_file_that_is_not_what_it_should_be_fails_it(
    platform: Platform, files: Files, wrong: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The export fails at once and says of which service; no archive is left."""
    patient_id, token = enter(platform)
    files.keep(UUID(patient_id), _IMAGES, **wrong)
    export_id = _order(platform, patient_id, token)
    assert 0 == archives.make_next()
    failed = _follow(platform, export_id, token)
    assert ("FAILED", None) == (failed["state"], failed["url"])
    assert failed["failure"].startswith("notification: ")
    assert [] == _archives(patient_id)
    assert "export_failed" in capsys.readouterr().out
    files.keep(UUID(patient_id), _IMAGES)
    assert export_id != _order(platform, patient_id, token)
    assert 1 == archives.make_next()


def test_a_service_that_is_away_is_asked_again(platform: Platform) -> None:
    """The export waits and is tried again later and later, then fails and names the service."""
    patient_id, token = enter(platform)
    export_id = _order(platform, patient_id, token)
    with frozen(datetime.now(UTC)) as now:
        platform.away.add("patient")
        for tries in range(1, domain.EXPORT_TRIES + 1):
            assert 0 == archives.make_next()
            row = store.get(platform.databases["auth"], UUID(export_id))
            assert row is not None
            assert ("FAILED" if tries == domain.EXPORT_TRIES else "QUEUED") == row["state"]
            assert "patient" in row["failure"]
            assert 0 == archives.make_next()
            now.advance(domain.continue_after(tries))
        platform.away.clear()
        assert 0 == archives.make_next()


def test_a_maker_that_died_is_followed_by_another(platform: Platform) -> None:
    """Its lease runs out, another one begins anew, and what the first one says then counts for
    nothing; what it left behind is swept."""
    patient_id, token = enter(platform)
    export_id = _order(platform, patient_id, token)
    auth = platform.databases["auth"]
    with frozen(datetime.now(UTC)) as now:
        died = auth.transaction(lambda tx: store.claim(tx, clock().now()))
        assert died is not None
        assert 0 == archives.make_next()
        now.advance(timedelta(minutes=2))
        with objects().write(died["path"]) as left:
            left.write(b"whole, but nobody knows")
        assert 1 == archives.make_next()
        assert not auth.transaction(
            lambda tx: store.progress(tx, died, clock().now(), (1, 1), (1, 1))
        )
        later = clock().now() + timedelta(days=1)
        assert not auth.transaction(lambda tx: store.mark_ready(tx, died, 1, clock().now(), later))
        assert 2 == len(_archives(patient_id))
        archives.sweep()
    assert 1 == len(_archives(patient_id))
    with _fetched(_follow(platform, export_id, token)["url"]) as found:
        assert found.testzip() is None


def test_it_is_deleted_after_some_days(platform: Platform) -> None:
    """It expires with its object, and is forgotten after a month."""
    patient_id, token = enter(platform)
    export_id = _order(platform, patient_id, token)
    with frozen(datetime.now(UTC)) as now:
        assert 1 == archives.make_next()
        archives.sweep()
        assert 1 == len(_archives(patient_id))
        now.advance(domain.EXPORT_KEPT)
        archives.sweep()
        assert [] == _archives(patient_id)
        row = store.get(platform.databases["auth"], UUID(export_id))
        assert row is not None
        assert ("EXPIRED", None) == (row["state"], row["path"])
        now.advance(domain.EXPORT_REMEMBERED)
        archives.sweep()
        assert store.get(platform.databases["auth"], UUID(export_id)) is None


def test_an_erasure_takes_it_along(platform: Platform, files: Files) -> None:
    """What was made is deleted with its objects; what is being made is, too, when it is whole; and
    nobody orders another one."""
    patient_id, token = enter(platform)
    admin = platform.admin()
    export_id = _order(platform, patient_id, token)
    assert 1 == archives.make_next()
    _order(platform, patient_id, token)
    # The erasure comes while the second one is being made: between its files and its end.
    auth, asked = platform.databases["auth"], exports.files

    def meanwhile(service: str, person: UUID, by: UUID | None) -> list[ExportFile]:
        if service == "patient":
            erase(platform, patient_id, admin)
        return asked(service, person, by)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports, "files", meanwhile)
        assert 0 == archives.make_next()
    platform.drain()
    assert [] == _archives(patient_id)
    assert [] == auth.all("select from exports")
    path = f"/api/auth/exports/jobs/{export_id}"
    assert 404 == platform.call("GET", path, token=admin).status_code
    body = {"patient_id": patient_id}
    assert 409 == platform.call("POST", "/api/auth/exports", body, token=admin).status_code
