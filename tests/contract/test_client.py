"""Calls between services, against real servers that are slow, broken, down or hostile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from shared import errors, log
from shared.client import Client, _breakers, client, install_transport
from shared.client_http import LARGEST
from shared.config import MissingSettings, config
from shared.errors import Problem, Unavailable
from tests.contract.client_server import Handler, Server, raw, resets, says, sleeps, trickles

SECRET = "what the other side said"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that is the service ``auth``; calls go to it over HTTP."""
    made = Server()
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("SERVICES", json.dumps({"auth": "/api/auth", "patient": "/api/patients"}))
    monkeypatch.setenv("SERVICES_URL", f"http://127.0.0.1:{made.server_port}")
    config.cache_clear()
    install_transport(None)
    yield made
    made.over.set()
    made.shutdown()
    made.server_close()
    install_transport(None)
    config.cache_clear()


def get(**more: Any) -> Any:
    """notification asks auth, with as much time as a slow machine may need."""
    return client("notification").get("auth", "/-/x", **{"timeout": 30.0, **more})


def unavailable(**more: Any) -> dict[str, Any]:
    """The problem's members that say which service is away."""
    with pytest.raises(Unavailable) as caught:
        get(**more)
    found = caught.value.to_dict()
    return {name: found[name] for name in ("status", "detail", "service")}


AWAY = {"status": 503, "detail": "auth does not answer.", "service": "auth"}


def test_the_answer_is_its_json(server: Server) -> None:
    """A call gives the JSON of the path below the target's prefix."""
    server.script = [says(200, '{"name": "Ștefania"}'.encode())]
    assert {"name": "Ștefania"} == get()
    assert "/api/auth/-/x" == server.asked[0][0]


def test_a_call_says_who_asks_for_whom(server: Server) -> None:
    """The target learns the service, the person it asks for, and the trace it belongs to."""
    server.script = [says(200)]
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    with log.context(correlation="correlation-1", trace=trace):
        get(on_behalf_of=UUID(int=7))
    get()
    first, second = (headers for _, headers in server.asked)
    assert first["authorization"].startswith("Bearer ey")
    assert ("correlation-1", trace) == (first["x-correlation-id"], first["traceparent"])
    assert str(UUID(int=7)) == first["x-on-behalf-of"]
    assert set() == {"x-correlation-id", "traceparent", "x-on-behalf-of"} & set(second)


def test_connections_are_kept(server: Server) -> None:
    """Call after call goes over the same connection."""
    server.script = [says(200)]
    for _ in range(5):
        get()
    assert (5, 1) == (len(server.asked), server.connections)


def test_a_few_calls_go_out_at_once(server: Server) -> None:
    """Calls do not wait for each other; one more than four is refused, not kept waiting."""
    inside, leave = threading.Barrier(5, timeout=10), threading.Event()

    def answer(handler: Handler) -> None:
        inside.wait()
        leave.wait(10)
        says(200, b"4")(handler)

    server.script = [answer]
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(get, timeout=10) for _ in range(4)]
        inside.wait()
        with pytest.raises(Unavailable) as caught:
            get(timeout=10)
        assert "auth" == caught.value.extra["service"]
        leave.set()
        assert [4] * 4 == [one.result() for one in calls]
    server.script = [says(200, b"5")]
    assert 5 == get()


@pytest.mark.parametrize("failure", [says(502), says(503), says(504), resets, raw(b"")])
def test_what_passes_is_tried_again(server: Server, failure: Callable[[Handler], None]) -> None:
    """A target that fails for a moment is asked again, and the caller does not notice."""
    server.script = [failure, failure, says(200, b"[1]")]
    assert [1] == get()
    assert 3 == len(server.asked)


def test_an_idle_connection_that_was_closed_does_no_harm(server: Server) -> None:
    """A kept connection whose other end has gone away is replaced."""

    def hangs_up(handler: Handler) -> None:
        says(200, b"1")(handler)
        handler.close_connection = True

    server.script = [hangs_up, says(200, b"2")]
    assert 1 == get()
    time.sleep(0.1)
    assert 2 == get()


def test_the_target_says_when_to_try_again(server: Server) -> None:
    """Retry-After is waited for, or the call given up at once where the time does not suffice."""
    moments: list[float] = []

    def restarts(handler: Handler) -> None:
        moments.append(time.monotonic())
        (says(200, b"1") if len(moments) > 1 else says(503, Retry_After="1"))(handler)

    server.script = [restarts]
    assert 1 == get()
    first, second = moments
    assert second - first >= 1
    server.script = [says(503, Retry_After="60"), says(200, b"1")]
    assert AWAY == unavailable()
    assert 3 == len(server.asked)


@pytest.mark.parametrize("slow", [sleeps, trickles, says(503)])
def test_a_slow_target_is_given_up_in_time(server: Server, slow: Callable[[Handler], None]) -> None:
    """However often it is tried, a call ends with its time; an answer in pieces does not help."""
    server.script = [slow]
    assert AWAY == unavailable(timeout=0.2)
    assert 0 == server.finished


@pytest.mark.parametrize(
    "answer",
    [
        says(200, SECRET.encode()),
        says(200, b"\xff"),
        says(200, b""),
        says(200, b"[" * 100_000),
        says(204, b""),
        says(302, b"{}", Location="/api/auth/elsewhere"),
        says(401, SECRET.encode()),
        says(403, SECRET.encode()),
        says(405, SECRET.encode()),
        says(500, SECRET.encode()),
        says(501, SECRET.encode()),
        raw(b"HTTP/1.1 999 " + SECRET.encode() + b"\r\n\r\n"),
        raw(SECRET.encode() * 10_000),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
    ],
)
def test_nonsense_is_no_answer(
    server: Server, answer: Callable[[Handler], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not the JSON of a success is 503 and names the service; nobody sees what it said."""
    server.script = [answer]
    assert AWAY == unavailable()
    assert {"/api/auth/-/x"} == {path for path, _ in server.asked}
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err
    assert '"target": "auth"' in captured.out


def test_an_answer_has_a_limit(server: Server) -> None:
    """10 MiB are read, more are not, whether their number is declared or not."""
    most = b'"' + b"a" * (LARGEST - 2) + b'"'
    server.script = [says(200, most)]
    assert LARGEST - 2 == len(get(timeout=20))
    server.script = [says(200, most + b" ")]
    assert AWAY == unavailable(timeout=20)
    server.script = [raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + most + b" ")]
    assert AWAY == unavailable(timeout=20)
    assert 3 == len(server.asked)


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (400, errors.BadRequest),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (412, errors.StaleVersion),
        (422, errors.Invalid),
        (429, errors.TooManyRequests),
    ],
)
def test_a_problem_is_the_same_problem(server: Server, status: int, problem: type[Problem]) -> None:
    """What the target has to say about the request is raised, without its words, and once."""
    server.script = [says(status, SECRET.encode())]
    for _ in range(9):  # nor is it a failure that would make the target be left alone
        with pytest.raises(problem) as caught:
            get()
        assert SECRET not in caught.value.detail
    assert 9 == len(server.asked)


def test_a_failing_target_is_left_alone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five failed calls in a row it is asked no more, and others still are."""
    monkeypatch.setattr("shared.client._LEFT_ALONE_S", 3600.0)
    server.script = [says(500)]
    for _ in range(5):
        assert AWAY == unavailable()
    assert 5 == len(server.asked)
    server.script = [says(200, b"1")]
    assert AWAY == unavailable()
    assert 5 == len(server.asked)
    assert 1 == Client("notification").get("patient", "/-/x", timeout=30)


def test_a_target_that_came_back_is_asked_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while one call tries; its success lets all through again."""
    monkeypatch.setattr("shared.client._LEFT_ALONE_S", 3600.0)

    def left_alone(seconds: float) -> None:
        _breakers["auth"].reset_timeout = seconds

    server.script = [says(500)]
    for _ in range(6):
        assert AWAY == unavailable()
    assert 5 == len(server.asked)
    left_alone(0)
    assert AWAY == unavailable()
    left_alone(3600)
    assert AWAY == unavailable()
    assert 6 == len(server.asked)
    server.script = [says(200, b"1")]
    left_alone(0)
    assert 1 == get()
    left_alone(3600)
    assert 1 == get()


def test_nobody_listens(server: Server) -> None:
    """A target that is not there is away."""
    server.server_close()
    assert AWAY == unavailable(timeout=0.5)


def test_an_unknown_target_is_our_mistake(server: Server) -> None:
    """Who asks a service that the configuration does not name is told so."""
    with pytest.raises(MissingSettings):
        client("auth").get("nobody", "/-/x")
