"""The HTTP edge: how a request is followed, by its ids, its log line and its caller's address."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from shared.config import Config
from tests.http_example import ME, MINE, OTHER, send

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FOUND = {"X-Correlation-Id": "find-me-123"}
"""The headers of a request whose lines ``logged`` finds."""


def logged(written: str) -> list[dict[str, Any]]:
    """The lines about such requests: whoever else lives in the process may have said something."""
    lines = [json.loads(line) for line in written.splitlines()]
    return [line for line in lines if FOUND["X-Correlation-Id"] == line.get("correlation_id")]


@pytest.mark.parametrize(
    ("kept", "given"),
    [(True, "order-66.A_b"), (False, "short"), (False, "a" * 65), (False, "a b c d e f"), (0, "")],
)
def test_the_correlation_id_comes_back(kept: bool, given: str) -> None:
    """A well-formed X-Correlation-Id is kept, any other replaced."""
    answer = send("GET", MINE, who="patient", headers={"X-Correlation-Id": given})
    returned = answer.headers["X-Correlation-Id"]
    assert bool(kept) is (given == returned)
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", returned)


@pytest.mark.parametrize(
    ("kept", "parent"),
    [
        (True, f"00-{TRACE}-{SPAN}-01"),
        (True, f"cc-{TRACE}-{SPAN}-01-what-the-future-holds"),
        (False, f"00-{TRACE}-{SPAN}-01-more"),
        (False, f"ff-{TRACE}-{SPAN}-01"),
        (False, f"00-{'0' * 32}-{SPAN}-01"),
        (False, f"00-{TRACE}-{'0' * 16}-01"),
        (False, f"00-{TRACE.upper()}-{SPAN}-01"),
        (False, "nonsense"),
    ],
)
def test_the_trace_goes_on(kept: bool, parent: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A valid traceparent's trace id is in the log, a malformed one starts another trace."""
    send("GET", MINE, who="patient", headers={"traceparent": parent, **FOUND})
    (line,) = logged(capsys.readouterr().out)
    assert kept is (line["logging.googleapis.com/trace"] == TRACE)


def test_one_log_line_tells_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    """Method, template, status, duration and caller; never the raw path or the query."""
    send("GET", f"/{OTHER}?name=Popescu", who="patient", headers=FOUND)
    written = capsys.readouterr().out
    (line,) = logged(written)
    assert ("request", "GET", "/api/examples/{patient_id}", 403, str(ME), "forbidden") == tuple(
        line[key] for key in ("message", "method", "route", "status", "caller", "problem")
    )
    assert 0 < line["ms"] < 5000
    assert str(OTHER) not in written
    assert "Popescu" not in written


@pytest.mark.parametrize(("expected", "env"), [("127.0.0.1", "embedded"), ("203.0.113.9", "cloud")])
def test_the_callers_address_is_the_one_that_cannot_be_forged(
    expected: str, env: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the cloud whom the load balancer saw, elsewhere the socket's peer."""
    settings = Config(**{**dict.fromkeys(Config.__dataclass_fields__), "env": env})  # type: ignore[arg-type]
    monkeypatch.setattr("shared.http_request.config", lambda: settings)
    balancer = "198.51.100.1"
    for said in (
        {"X-Forwarded-For": f"10.6.6.6, 203.0.113.9,{balancer}", "X-Client-Address": "203.0.113.9"},
        {"X-Client-Address": "10.6.6.6,203.0.113.9"},  # what somebody sent stands before it
        {"X-Forwarded-For": "10.6.6.6, 203.0.113.9"},  # called without the load balancer
    ):
        headers = {**said, "User-Agent": "Mozilla/5.0"}
        answer = send("GET", "/me", who="patient", headers=headers)
        assert {"id": str(ME), "address": expected, "agent": "Mozilla/5.0"} == answer.json
