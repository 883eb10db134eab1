"""What every object store must do for us: a directory, and S3 as moto serves it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from shared.blobs import Blobs
from shared.errors import Unavailable
from tests.contract.s3 import bucket_url


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of a bucket on an S3 server of our own."""
    with bucket_url() as url:
        yield url


@pytest.fixture(scope="module", params=["file", "file, not made yet", "s3", "s3, below a prefix"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    """Each implementation in turn; tests use folders of their own."""
    kind, _, rest = request.param.partition(", ")
    if kind == "file":
        directory = tmp_path_factory.mktemp("blobs")
        return Blobs((directory / "a" / "b" if rest else directory).as_uri())
    bucket = request.getfixturevalue("s3")
    return Blobs(f"{bucket}/some/prefix" if rest else bucket)


@pytest.fixture
def folder() -> str:
    """A folder nobody else uses."""
    return f"test/{uuid4()}"


def test_what_was_created_is_got(store: Blobs, folder: str) -> None:
    """The bytes come back as they were, none and any."""
    for name, data in (("empty", b""), ("bytes", bytes(range(256)) * 5000), ("a b ț.json", b"{}")):
        assert store.create(f"{folder}/{name}", data)
        assert data == store.get(f"{folder}/{name}")


def test_nothing_is_replaced(store: Blobs, folder: str) -> None:
    """The second who creates an object is told, and the first one's bytes stay."""
    assert [True, False, False] == [
        store.create(f"{folder}/one", data) for data in (b"first", b"second", b"first")
    ]
    assert b"first" == store.get(f"{folder}/one")


def test_what_is_not_there_is_none(store: Blobs, folder: str) -> None:
    """Neither a missing object nor a folder is an object."""
    store.create(f"{folder}/in/one", b"1")
    assert [None, None] == [store.get(f"{folder}/{name}") for name in ("two", "in")]
    assert [] == list(store.list(f"{folder}/out"))


def test_paths_come_sorted_from_a_place_on(store: Blobs, folder: str) -> None:
    """All paths of a folder and of those in it, sorted as text; a longer name is another folder."""
    names = ["10.json", "2.json", "a/0.json", "a/1.json", "b.json"]
    for name in ("c.json", *reversed(names)):
        store.create(f"{folder}/{name}", b"")
    store.create(f"{folder}-other/3.json", b"")
    paths = [f"{folder}/{name}" for name in (*names, "c.json")]
    assert paths == list(store.list(folder))
    assert paths[3:] == list(store.list(folder, after=paths[2]))
    assert paths[2:4] == list(store.list(f"{folder}/a"))
    assert [] == list(store.list(folder, after=paths[-1]))


def test_more_paths_than_a_page(store: Blobs, folder: str) -> None:
    """A folder with more objects than a bucket lists at once comes whole and sorted."""
    paths = [f"{folder}/{number:04}" for number in range(1100)]
    for path in reversed(paths):
        store.create(path, b"")
    assert paths == list(store.list(folder))
    assert paths[1050:] == list(store.list(folder, after=paths[1049]))


def test_of_many_at_once_one_creates(store: Blobs, folder: str) -> None:
    """Whoever wins, it is one, and its bytes are what everybody reads."""
    for turn in range(5):
        path, made = f"{folder}/{turn}", list[int]()
        start = threading.Barrier(8)

        def work(
            number: int,
            path: str = path,
            made: list[int] = made,
            start: threading.Barrier = start,
        ) -> None:
            start.wait()
            if store.create(path, str(number).encode() * 10_000):
                made.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 == len(made)
        assert str(made[0]).encode() * 10_000 == store.get(path)


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_store_that_is_away_is_unavailable(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever one asks of it: 503, to be repeated."""
    if kind == "file":
        (tmp_path / "file").write_text("not a directory")
        away = Blobs((tmp_path / "file" / "blobs").as_uri())
    else:
        monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        away = Blobs("s3://away")
    asked: list[Callable[[], object]] = [
        lambda: away.create("a/b", b""),
        lambda: away.get("a/b"),
        lambda: list(away.list("a")),
    ]
    for ask in asked:
        with pytest.raises(Unavailable):
            ask()
