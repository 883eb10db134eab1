"""Bodies of any size, framing and content, under the framework and the server we deploy."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import functions_framework
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from shared.http_request import MAX_BODY
from tests.http_example import ME, SECRET, api, check, client, post

ROOT = Path(__file__).parents[2]
MIB = b"[" + b" " * (MAX_BODY - 2) + b"]"


def chunked(body: io.IOBase, path: str = "/open") -> TestResponse:
    """A body without a declared length, as gunicorn hands it over."""
    return client.post(
        api.prefix + path,
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={
            "wsgi.input": body,
            "wsgi.input_terminated": True,
            "CONTENT_LENGTH": "",
        },
    )


class Endless(io.RawIOBase):
    """A body without end that counts what is taken."""

    taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b" " * len(buffer)
        self.taken += len(buffer)
        return len(buffer)


def test_a_body_of_one_mebibyte_is_read() -> None:
    """The limit itself is within the limit, declared or chunked."""
    check(422, post(MIB))
    check(422, chunked(io.BytesIO(MIB)))


@pytest.mark.parametrize("path", ["/open", "/taken", f"/{ME}", "/no/where"])
def test_a_body_without_end_is_cut_off(path: str) -> None:
    """Nobody, not even the framework, reads more than the limit; what was decided stands."""
    body = Endless()
    answer = chunked(body, path)
    expected = {"/open": 413, "/taken": 409, f"/{ME}": 405, "/no/where": 404}[path]
    check(expected, answer)
    assert MAX_BODY <= body.taken <= MAX_BODY + 64 * 1024


@pytest.mark.parametrize(
    ("status", "length"), [(400, "10"), (400, "-1"), (400, "ten"), (413, "9" * 30)]
)
def test_a_length_that_is_not_the_bodys(status: int, length: str) -> None:
    """Cut short or nonsense: 400. Beyond the limit: 413 without waiting for it."""
    answer = client.post(
        f"{api.prefix}/open",
        input_stream=io.BytesIO(b"{}"),
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": length},
    )
    check(status, answer)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deploy target's source, as functions-framework loads it."""
    source = tmp_path_factory.mktemp("target") / "main.py"
    source.write_text(
        textwrap.dedent(
            """
            from tests.http_example import api, authenticate

            def http(request):
                return api.handle(request, authenticate)
            """
        )
    )
    return source


@pytest.fixture(scope="module")
def deployed(target: Path) -> FlaskClient:
    """The example under functions-framework itself."""
    create: Callable[[str, str], Flask] = functions_framework.create_app
    return create("http", str(target)).test_client()


@given(body=st.binary(max_size=200), kind=st.sampled_from(["application/json", "text/plain", ""]))
def test_any_body_is_answered_under_the_framework(
    deployed: FlaskClient, body: bytes, kind: str
) -> None:
    """No bytes whatsoever make a deployed function answer 500, or anything but a problem."""
    answer = deployed.post(f"{api.prefix}/open", data=body, content_type=kind)
    assert answer.status_code in (400, 415, 422)
    check(answer.status_code, answer)


@pytest.mark.parametrize("length", [MAX_BODY + 1, 64 * MAX_BODY])
def test_refusals_survive_the_framework(deployed: FlaskClient, length: int) -> None:
    """The framework reads what is left of the body after us: our 413 stays ours."""
    answer = deployed.post(
        f"{api.prefix}/open",
        content_type="application/json",
        environ_overrides={"wsgi.input": Endless(), "CONTENT_LENGTH": str(length)},
    )
    check(413, answer, "too-large")


@pytest.fixture(scope="module")
def port(target: Path) -> Iterator[int]:
    """The example behind gunicorn; the port it listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = f"functions_framework:create_app('http', {str(target)!r})"
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}"),
                *("--worker-class", "gthread", "--log-level", "error", app),
            ],
            cwd=ROOT,
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
        )
        try:
            yield listener.getsockname()[1]
        finally:
            server.terminate()
            server.wait(60)


def talk(port: int, request: bytes) -> bytes:
    """What comes back for these very bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer or b"}" not in answer:
            part = connection.recv(65536)
            if not part:
                break
            answer += part
        return answer


HEAD = b"POST /api/examples/open HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (b"413", HEAD + b"Content-Length: 99999999\r\n\r\n"),
        (
            b"413",
            HEAD
            + b"Transfer-Encoding: chunked\r\n\r\n"
            + 20 * (b"10000\r\n" + b" " * 65536 + b"\r\n")
            + b"0\r\n\r\n",
        ),
        (b"400", CHUNKED + b"1\r\n{\r\n0\r\n\r\n"),
        (b"400", CHUNKED + b"xyzzy\r\n{\r\n0\r\n\r\n"),
        (b"405", b"TRACE /api/examples/open HTTP/1.1\r\nHost: x\r\n\r\n"),
    ],
)
def test_a_real_server_sends_our_problems(port: int, status: bytes, request_: bytes) -> None:
    """Behind gunicorn, declared or chunked: the problem arrives, whole and quoting nothing."""
    answer = talk(port, request_)
    assert status == answer.split(b" ", 2)[1]
    assert b"application/problem+json" in answer
    assert SECRET.encode() not in answer
