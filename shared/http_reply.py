"""Answers: a handler's value as JSON with its headers, and problems as RFC 9457 wants them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Generic, TypeVar

from flask import Response
from pydantic_core import to_json
from werkzeug.datastructures import Headers

from shared.errors import Problem

__all__ = ["JSON", "Answer", "Reply", "make", "problem"]

T_co = TypeVar("T_co", covariant=True)

# OWASP REST Security Cheat Sheet: answers are data for programs, to be neither cached, sniffed,
# framed nor rendered.
_SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# Satisfies the constructor, which would otherwise add a Content-Type of its own.
JSON = "application/json"
_NO_HEADERS = Headers([("Content-Type", JSON)])


@dataclass(frozen=True, slots=True)
class Reply(Generic[T_co]):
    """A value with more to say: where it now lives, its version, another status or headers.

    ``location`` is an absolute path; ``etag`` the version sent as ``ETag: "<version>"``;
    ``headers`` replace the defaults, spelled as those are (a ``Cache-Control`` for what may be
    cached).
    """

    value: T_co
    location: str | None = None
    etag: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None

    def __post_init__(self) -> None:
        if self.location is not None and not self.location.startswith("/"):
            raise ValueError(f"a location is an absolute path, not {self.location}")


@dataclass(frozen=True, slots=True)
class Answer:
    """A handler's answer, ready to be sent; ``headers`` are those that not every answer has."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class _Response(Response):
    """A response whose headers are complete: werkzeug's closing pass over them (a copy, then a
    search for what is missing) would cost as much as the rest of the request's handling."""

    def get_wsgi_headers(self, environ: Any) -> Headers:  # noqa: ARG002
        return self.headers


def make(
    status: int,
    body: bytes,
    correlation: str,
    *,
    media: str = JSON,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response, with the headers that every response has; ``headers`` replace those."""
    response = _Response([body] if body else [], status, _NO_HEADERS)
    named = {**_SECURITY, "X-Correlation-Id": correlation}
    if body:
        named["Content-Type"], named["Content-Length"] = media, str(len(body))
    elif status not in (204, 304):  # which have none: RFC 9110, 8.6
        named["Content-Length"] = "0"
    if headers:
        named.update(headers)
    response.headers = ready = Headers()
    ready[:] = named.items()
    return response


def problem(exc: Problem, correlation: str) -> Response:
    """``exc`` as application/problem+json.

    Two extensions speak through headers: ``retry_after`` (seconds) also becomes Retry-After,
    ``headers`` (a mapping) becomes just headers.
    """
    members: dict[str, Any] = exc.to_dict()
    headers = dict(members.pop("headers", {}))
    wait = members.get("retry_after")
    if isinstance(wait, int | float):
        headers["Retry-After"] = str(max(0, ceil(wait)))
    # What JSON cannot say is left out rather than shown.
    body = to_json(members, inf_nan_mode="null", fallback=lambda _: None)
    return make(exc.status, body, correlation, media="application/problem+json", headers=headers)
