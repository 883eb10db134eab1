"""Every refusal is application/problem+json (RFC 9457) and quotes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.http_request import MAX_BODY
from tests.http_example import ME, SECRET, check, client, post, send

MIB = b"[" + b" " * (MAX_BODY - 2) + b"]"


@pytest.mark.parametrize(
    ("status", "kind", "answer"),
    [
        (404, "not-found", lambda: send("GET", f"/x/{SECRET}")),
        (404, "not-found", lambda: client.get(f"/{SECRET}")),
        (404, "not-found", lambda: client.get("/")),
        (405, "method-not-allowed", lambda: send("PUT", f"/{ME}")),
        (405, "method-not-allowed", lambda: send("PURGE", f"/{ME}")),
        (401, "unauthenticated", lambda: send("GET", f"/{ME}", who=SECRET)),
        (403, "forbidden", lambda: send("DELETE", f"/{ME}", who="patient")),
        (415, "unsupported-media-type", lambda: post(b"a=b", "application/x-www-form-urlencoded")),
        (415, "unsupported-media-type", lambda: post(b"{}", None)),
        (415, "unsupported-media-type", lambda: post(b"{}", f"text/{SECRET}")),
        (415, "unsupported-media-type", lambda: post(b"{}", "application/json; charset=utf-16")),
        (415, "unsupported-media-type", lambda: post(b"{}", Content_Encoding="gzip")),
        (400, "bad-request", lambda: post(b"")),
        (400, "bad-request", lambda: post(b'{"a": xyzzy}')),
        (422, "invalid", lambda: post(b'{"patient_id": "xyzzy"}')),
        (422, "invalid", lambda: send("GET", f"/boom?{SECRET}@x={SECRET}")),
        (413, "too-large", lambda: post(MIB + b" ")),
        (500, "problem", lambda: send("GET", "/boom")),
        (500, "problem", lambda: send("GET", "/wrong")),
        (503, "unavailable", lambda: send("GET", "/away")),
        (409, "slot-taken", lambda: send("POST", "/taken")),
    ],
)
def test_each_refusal_is_a_problem(status: int, kind: str, answer: Any) -> None:
    """Whatever is refused, and whoever refuses it, looks the same and quotes nothing."""
    check(status, answer(), kind)


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON; Charset=UTF-8",
        'application/vnd.x+json;charset="utf-8"',
    ],
)
def test_json_goes_by_several_names(kind: str) -> None:
    """JSON and its suffix are read, in UTF-8."""
    assert post(json.dumps({"patient_id": str(ME)}).encode(), kind).status_code == 200


def test_a_problem_of_the_route_carries_its_extensions() -> None:
    """retry_after is a member and a header, ``headers`` only headers, what is no JSON is null."""
    answer = send("POST", "/taken")
    problem = check(409, answer)
    assert (answer.headers["Retry-After"], answer.headers["Allow"]) == ("1", "GET")
    assert {"retry_after": 0.2, "free_at": [str(ME)], "ratio": None} == {
        key: problem[key] for key in problem.keys() - {"type", "title", "status", "detail"}
    }


def test_an_unexpected_failure_shows_its_correlation_id_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """500 leads to the log line with the stack; the answer has no word of the exception."""
    problem = check(500, send("GET", "/boom", headers={"X-Correlation-Id": "find-me-123"}))
    assert {"type", "title", "status", "detail", "correlation_id"} == problem.keys()
    assert problem["correlation_id"] == "find-me-123"
    assert "secret-detail" not in str(problem)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    failed, request = (line for line in lines if line.get("correlation_id") == "find-me-123")
    assert (
        failed["message"],
        failed["severity"],
        failed["correlation_id"],
    ) == ("request_failed", "ERROR", "find-me-123")
    assert "RuntimeError: secret-detail" in failed["exception"]
    assert request["status"] == 500


def test_unavailable_says_when_to_come_back() -> None:
    """503 with Retry-After in seconds."""
    assert send("GET", "/away").headers["Retry-After"] == "3"


def test_405_says_what_is_allowed() -> None:
    """405 lists the methods this resource has."""
    assert send("GET", "/taken").headers["Allow"] == "OPTIONS, POST"
