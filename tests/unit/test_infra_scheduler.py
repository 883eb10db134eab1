"""The scheduler: jobs on time, signed, never two turns of one job at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.local.scheduler import Schedule, Scheduler


class Services:
    """Answers jobs slowly and keeps the books."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.tokens: set[str] = set()
        self.most: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.status = 204

    def answer(self, path: str, token: str) -> int:
        """One job's turn, which takes 50 ms."""
        with self._lock:
            self.calls[path] += 1
            self.tokens.add(token)
            self._now[path] += 1
            self.most[path] = max(self.most[path], self._now[path])
        time.sleep(0.05)
        with self._lock:
            self._now[path] -= 1
        return self.status

    def under_way(self) -> int:
        """How many turns have begun and not ended."""
        with self._lock:
            return sum(self._now.values())


@pytest.fixture
def services() -> Services:
    """The books."""
    return Services()


@pytest.fixture
def url(services: Services) -> Iterator[str]:
    """Where the services listen."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.send_response(services.answer(self.path, self.headers["Authorization"]))
            if services.status != 204:
                self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _run(url: str, jobs: list[Schedule], until: Callable[[], bool]) -> None:
    scheduler = Scheduler(jobs, url, lambda service: f"token-of-{service}")
    scheduler.start()
    deadline = time.monotonic() + 60
    while not until() and time.monotonic() < deadline:
        time.sleep(0.005)
    scheduler.stop()


def test_jobs_are_called_with_the_service_s_token(services: Services, url: str) -> None:
    """The call is the one the cloud's scheduler makes."""
    _run(url, [Schedule("auth", "sweep", 600.0)], lambda: bool(services.calls))
    assert {"/_events/auth/jobs/sweep": 1} == dict(services.calls)
    assert {"Bearer token-of-auth"} == services.tokens


def test_a_job_never_overlaps_itself(services: Services, url: str) -> None:
    """A job that takes longer than its period waits for itself, and no other waits for it."""
    jobs = [Schedule("a", "slow", 0.001), Schedule("b", "slow", 0.001)]
    _run(url, jobs, lambda: len(services.calls) == 2 and min(services.calls.values()) > 5)
    assert {1} == set(services.most.values())
    assert [True, True] == [turns > 5 for turns in services.calls.values()]


def test_a_failing_job_keeps_its_turns(services: Services, url: str) -> None:
    """A job that fails is called again in its period."""
    services.status = 500
    _run(url, [Schedule("a", "broken", 0.05)], lambda: sum(services.calls.values()) > 2)
    assert services.calls["/_events/a/jobs/broken"] > 2


def test_stopping_waits_for_the_running_turn(services: Services, url: str) -> None:
    """After stop no call is under way."""
    _run(url, [Schedule("a", "slow", 0.001)], lambda: services.under_way() > 0)
    assert services.calls
    assert 0 == services.under_way()
