"""The embedded stack's signed URLs, over HTTP: each is good for exactly what it was made for."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from infra.local.objects import Objects
from shared.blobs import Blobs
from shared.clocks import SystemClock, set_clock
from shared.config import config
from shared.object_urls import Grant
from tests.contract.objects_stack import served

SOON = timedelta(minutes=5)
PNG = "image/png"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Blobs, Path]]:
    """A directory behind a gateway, with a file beside it that no URL may reach."""
    directory = tmp_path_factory.mktemp("gateway")
    (directory / "secret").write_text("secret")
    store = Blobs((directory / "objects").as_uri())
    with served(Objects(_rest, lambda: store)) as base, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBLIC_URL", base)
        config.cache_clear()
        yield store, directory
    config.cache_clear()


def _rest(_environ: object, start: object) -> list[bytes]:
    start("418 Other", [("Content-Length", "4")])  # type: ignore[operator]
    return [b"rest"]


def _ask(
    method: str, url: str, body: bytes | None = None, kind: str | None = None
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    headers = {} if kind is None else {"Content-Type": kind}
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_an_upload_is_of_the_signed_size_and_type(place: tuple[Blobs, Path]) -> None:
    """More bytes, fewer bytes or another type: refused, and there is no object."""
    store, _ = place
    url = store.presign_put("size/one", expires=SOON, size=3, content_type=PNG).url
    assert [403, 403, 415, 415] == [
        _ask("PUT", url, b"1234", PNG)[0],
        _ask("PUT", url, b"12", PNG)[0],
        _ask("PUT", url, b"123", "text/html")[0],
        _ask("PUT", url, b"123")[0],
    ]
    assert store.stat("size/one") is None
    assert 200 == _ask("PUT", url, b"123", PNG)[0]


def test_an_upload_that_breaks_off_leaves_nothing(place: tuple[Blobs, Path]) -> None:
    """A client that hangs up in the middle has uploaded nothing, not a part."""
    store, directory = place
    url = store.presign_put("cut/one", expires=SOON, size=9_000_000, content_type=PNG).url
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as client:
        head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nContent-Type: {PNG}\r\n"
        client.sendall(head.encode() + b"Content-Length: 9000000\r\n\r\n" + bytes(6_000_000))
        client.shutdown(socket.SHUT_WR)
        assert b" 400 " in client.recv(100)
    assert store.stat("cut/one") is None
    assert [] == list((directory / "objects" / "cut").rglob("*"))


def test_a_url_ends(place: tuple[Blobs, Path]) -> None:
    """After its time a URL is refused, and says why."""
    store, _ = place
    assert store.create("end/one", b"1")
    get = store.presign_get("end/one", expires=SOON)
    put = store.presign_put("end/two", expires=SOON, size=1, content_type=PNG).url

    class Later(SystemClock):
        def now(self) -> datetime:
            return datetime.now(UTC) + SOON + timedelta(seconds=1)

    assert 200 == _ask("GET", get)[0]
    before = set_clock(Later())
    try:
        status, body = _ask("GET", get)
        assert 403 == status
        assert b"expired" in body
        assert 403 == _ask("PUT", put, b"1", PNG)[0]
    finally:
        set_clock(before)


def test_a_url_is_for_one_method(place: tuple[Blobs, Path]) -> None:
    """Whoever may read may not write, nor the reverse; HEAD is a read; nothing may be deleted."""
    store, _ = place
    assert store.create("method/one", b"1")
    get = store.presign_get("method/one", expires=SOON)
    put = store.presign_put("method/one", expires=SOON, size=1, content_type=PNG).url
    assert [403, 403, 405, 405] == [
        _ask("PUT", get, b"2", PNG)[0],
        _ask("GET", put)[0],
        _ask("DELETE", put)[0],
        _ask("POST", put, b"2", PNG)[0],
    ]
    assert (200, b"") == _ask("HEAD", get)
    assert b"1" == store.get("method/one")


def test_nothing_of_a_url_can_be_changed(place: tuple[Blobs, Path]) -> None:
    """Another path, end, size, type or name, one twice or none: refused."""
    store, _ = place
    assert store.create("other/one", b"1")
    assert store.create("other/two", b"2")
    get = store.presign_get("other/one", expires=SOON, filename="a.png", content_type=PNG)
    end = str(int(get.partition("expires=")[2].partition("&")[0]))
    for changed in (
        get.replace("/one", "/two"),
        get.replace(end, str(int(end) + 1)),
        get.replace("a.png", "a.exe"),
        get.replace("image%2Fpng", "text%2Fhtml"),
        get + "&size=1",
        get + "&expires=" + end,
        get + "&other=1",
        get[:-1] + ("0" if get[-1] != "0" else "1"),
        get.partition("&signature")[0],
        get.partition("?")[0],
    ):
        assert changed != get
        assert 403 == _ask("GET", changed)[0], changed
    put = store.presign_put("other/new", expires=SOON, size=1, content_type=PNG).url
    assert 403 == _ask("PUT", put.replace("size=1", "size=2"), b"12", PNG)[0]


@pytest.mark.parametrize(
    "path",
    ["../secret", "a/../../secret", "/etc/passwd", "a//b", "a/./b", "", ".hidden", "a\\..\\b", "ș"],
)
def test_no_path_leads_out_of_the_directory(place: tuple[Blobs, Path], path: str) -> None:
    """What is no plain path cannot be signed, and is refused when somebody asks for it."""
    store, _ = place
    with pytest.raises(ValueError, match="path"):
        store.presign_get(path, expires=SOON)
    query = Grant("GET", "secret", 4_000_000_000, content_type=PNG).url().partition("?")[2]
    for spelled in (quote(path), quote(path, safe="").replace(".", "%2E")):
        url = f"{config().public_url}/_objects/{spelled}?{query}"
        assert b"secret" not in _ask("GET", url)[1]
        assert 403 == _ask("GET", url)[0]


def test_a_header_cannot_be_split(place: tuple[Blobs, Path]) -> None:
    """A name with a line break is refused where the URL is made."""
    store, _ = place
    with pytest.raises(ValueError, match="header"):
        store.presign_get("a/b", expires=SOON, filename="a\r\nSet-Cookie: x")
    with pytest.raises(ValueError, match="header"):
        store.presign_get("a/b", expires=SOON, filename='a"; filename="b')


def test_what_is_served_is_no_page(place: tuple[Blobs, Path]) -> None:
    """An object comes to be saved, under its name, and no browser runs what is in it."""
    store, _ = place
    assert store.create("page/one", b"<script>")
    url = store.presign_get("page/one", expires=SOON, filename="x.png", content_type=PNG)
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    connection.request("GET", f"{parts.path}?{parts.query}")
    headers = connection.getresponse().headers
    connection.close()
    assert 'attachment; filename="x.png"' == headers["Content-Disposition"]
    assert (PNG, "nosniff") == (headers["Content-Type"], headers["X-Content-Type-Options"])
    assert "sandbox" in headers["Content-Security-Policy"]


def test_other_paths_are_the_pages(place: tuple[Blobs, Path]) -> None:
    """What is not below the mount goes on, and a missing object is 404."""
    store, _ = place
    assert (418, b"rest") == _ask("GET", f"{config().public_url}/_object")
    assert 404 == _ask("GET", store.presign_get("none/one", expires=SOON))[0]
