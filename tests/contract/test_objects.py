"""What a store of images and exports must do for us: a directory behind the embedded stack's
gateway, and S3 as moto serves it."""

from __future__ import annotations

import hashlib
import http.client
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from infra.local.objects import Objects
from shared.blobs import Blobs, Replaced, Stat
from shared.config import config
from shared.errors import Unavailable
from tests.contract.objects_stack import served
from tests.contract.s3 import bucket_url

LARGE = bytes(range(256)) * 50_000  # more than two parts
SOON = timedelta(minutes=5)


@pytest.fixture(scope="module", params=["file", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Blobs]:
    """Each implementation in turn, reachable over HTTP."""
    if request.param == "s3":
        with bucket_url() as url:
            yield Blobs(f"{url}/some/prefix")
        return
    made = Blobs(tmp_path_factory.mktemp("objects").as_uri())
    with served(Objects(_nothing, lambda: made)) as base, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBLIC_URL", base)
        config.cache_clear()
        yield made
    config.cache_clear()


@pytest.fixture
def folder() -> str:
    """A folder nobody else uses."""
    return f"test/{uuid4()}"


def _nothing(_environ: object, start: object) -> list[bytes]:
    raise AssertionError(start)


def _write(store: Blobs, path: str, data: bytes) -> Stat:
    with store.write(path) as made:
        made.write(data)
    found = store.stat(path)
    assert found is not None
    return found


def _send(
    method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> tuple[int, bytes, Mapping[str, str]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.headers)
    finally:
        connection.close()


def test_what_was_written_is_read(store: Blobs, folder: str) -> None:
    """The bytes come back in chunks as they were, none and many."""
    for name, data in (("empty", b""), ("small", b"abc"), ("large", LARGE)):
        assert len(data) == _write(store, f"{folder}/{name}", data).size
        chunks = list(store.read(f"{folder}/{name}", 1_000_000))
        assert data == b"".join(chunks)
        assert all(len(chunk) <= 1_000_000 for chunk in chunks)


def test_what_is_not_there_has_no_size(store: Blobs, folder: str) -> None:
    """A missing object has no size, cannot be read and is not deleted."""
    assert store.stat(f"{folder}/one") is None
    assert not store.delete(f"{folder}/one")
    with pytest.raises(FileNotFoundError):
        store.read(f"{folder}/one")


def test_a_failed_write_leaves_nothing(store: Blobs, folder: str) -> None:
    """Nothing is visible before the end of the block, nor after one that failed; what was there
    before stays."""
    _write(store, f"{folder}/kept", b"kept")

    def fail(name: str) -> None:
        with store.write(f"{folder}/{name}") as made:
            made.write(LARGE)
            assert f"{folder}/new" not in list(store.list(folder))
            raise KeyError

    for name in ("new", "kept"):
        with pytest.raises(KeyError):
            fail(name)
    assert [f"{folder}/kept"] == list(store.list(folder))
    assert b"kept" == store.get(f"{folder}/kept")


def test_a_file_of_one_version(store: Blobs, folder: str) -> None:
    """An object opens as a file with seek; when it is replaced, reading says so."""
    path = f"{folder}/one"
    stat = _write(store, path, LARGE)
    with store.open(path, stat) as file:
        file.seek(-3, 2)
        assert LARGE[-3:] == file.read()
        file.seek(1000)
        assert LARGE[1000:7_000_000] == file.read(7_000_000 - 1000)
    with store.open(path, stat) as file:
        _write(store, path, LARGE[::-1])
        with pytest.raises(Replaced):
            file.read(10)


def test_a_copy_is_of_what_was_checked(store: Blobs, folder: str) -> None:
    """The copy has the checked bytes; a second one changes nothing."""
    source, target = f"{folder}/source", f"{folder}/target"
    stat = _write(store, source, LARGE)
    digest = hashlib.sha256(LARGE).hexdigest()
    assert store.copy(source, target, stat, sha256=digest)
    assert LARGE == store.get(target)
    other = _write(store, source, b"other")
    assert not store.copy(source, target, other, sha256=hashlib.sha256(b"other").hexdigest())
    assert LARGE == store.get(target)


def test_nothing_else_is_copied(store: Blobs, folder: str) -> None:
    """A source that was replaced since, went away or has another checksum makes no target."""
    source, target = f"{folder}/source", f"{folder}/target"
    stat = _write(store, source, b"first")
    with pytest.raises(Replaced):
        store.copy(source, target, stat, sha256=hashlib.sha256(b"second").hexdigest())
    _write(store, source, b"second")
    with pytest.raises(Replaced):
        store.copy(source, target, stat, sha256=hashlib.sha256(b"first").hexdigest())
    store.delete(source)
    with pytest.raises(Replaced):
        store.copy(source, target, stat, sha256=hashlib.sha256(b"first").hexdigest())
    assert store.stat(target) is None


def test_copies_at_once_are_one(store: Blobs, folder: str) -> None:
    """Whoever copies the same at the same time leaves one whole object."""
    source, target = f"{folder}/source", f"{folder}/target"
    stat = _write(store, source, LARGE)
    digest, faults = hashlib.sha256(LARGE).hexdigest(), list[BaseException]()
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        try:
            store.copy(source, target, stat, sha256=digest)
        except BaseException as fault:  # noqa: BLE001 -- shown by the assertion
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == faults
    assert LARGE == store.get(target)
    assert [source, target] == list(store.list(folder))


def test_a_folder_is_deleted_whole(store: Blobs, folder: str) -> None:
    """Every object in and below a folder goes, save what is to stay, and is counted; a longer name
    is another folder."""
    for name in ("a", "in/b", "in/deep/c", "in/kept"):
        _write(store, f"{folder}/{name}", b"1")
    _write(store, f"{folder}-other/d", b"1")
    assert 3 == store.delete_all(folder, but={f"{folder}/in/kept"})
    assert [f"{folder}/in/kept"] == list(store.list(folder))
    assert 1 == store.delete_all(folder)
    assert 0 == store.delete_all(folder)
    assert store.delete(f"{folder}-other/d")


def test_a_folder_is_deleted_by_several_at_once(store: Blobs, folder: str) -> None:
    """Whoever deletes what somebody else is deleting ends with an empty folder, too."""
    for number in range(60):
        _write(store, f"{folder}/{number}", b"1")
    with ThreadPoolExecutor(3) as pool:
        deleted = list(pool.map(store.delete_all, [folder] * 3))
    assert [] == list(store.list(folder))
    assert max(deleted) <= 60


def test_a_signed_upload_and_download(store: Blobs, folder: str) -> None:
    """Whoever has the URLs and nothing else uploads an object and reads it again."""
    path = f"{folder}/one.png"
    signed = store.presign_put(path, expires=SOON, size=len(LARGE), content_type="image/png")
    assert "image/png" == signed.headers["Content-Type"]
    assert 200 == _send("PUT", signed.url, signed.headers, LARGE)[0]
    assert LARGE == store.get(path)
    url = store.presign_get(path, expires=SOON, filename="one.png", content_type="image/png")
    status, body, _ = _send("GET", url)
    assert (200, LARGE) == (status, body)


def test_a_signed_url_says_when_it_ends(store: Blobs) -> None:
    """The end is a part of the URL, in either dialect."""
    url = store.presign_get("a/b", expires=timedelta(seconds=90))
    assert "X-Amz-Expires=90" in url or "expires=" in url


def test_a_store_that_is_away_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever one asks of it: 503, to be repeated."""
    (tmp_path / "file").write_text("not a directory")
    away = Blobs((tmp_path / "file" / "objects").as_uri())
    stat = Stat(3, "any")

    def write() -> None:
        with away.write("a/b") as made:
            made.write(b"abc")

    for ask in (
        write,
        lambda: away.stat("a/b"),
        lambda: away.open("a/b", stat).read(),
        lambda: away.delete("a/b"),
        lambda: away.delete_all("a"),
    ):
        with pytest.raises(Unavailable):
            ask()


def test_s3_gets_what_a_browser_must_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket serves an object as the type and under the name that it was written with."""
    with bucket_url() as url:
        store = Blobs(url)
        with store.write("a/b", content_type="image/png", filename="tooth.png") as made:
            made.write(b"1")
        with urllib.request.urlopen(store.presign_get("a/b", expires=SOON)) as answer:
            assert "image/png" == answer.headers["Content-Type"]
            assert 'attachment; filename="tooth.png"' == answer.headers["Content-Disposition"]
