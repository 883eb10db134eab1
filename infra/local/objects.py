"""Signed URLs of the embedded stack's objects, under ``/_objects/``: as a bucket has in the cloud.

Bodies pass in parts; whoever holds the URL needs no token (shared/object_urls.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from infra.local.router import Application, problem_response
from shared.blobs import Blobs, objects
from shared.errors import (
    BadRequest,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    Problem,
    UnsupportedMediaType,
)
from shared.object_urls import MOUNT, Grant, granted

__all__ = ["Objects"]

_CHUNK = 1 << 20
_HEADERS = (
    ("Cache-Control", "private, no-store"),
    ("X-Content-Type-Options", "nosniff"),
    # Whatever was uploaded is no page of ours.
    ("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'"),
)


class Objects:
    """A WSGI application: the objects, and ``rest`` for everything else."""

    def __init__(self, rest: Application, store: Callable[[], Blobs] = objects) -> None:
        self._rest, self._store = rest, store

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """WSGI."""
        path: str = environ["PATH_INFO"]
        if not path.startswith(MOUNT):
            return self._rest(environ, start_response)
        try:
            return self._answer(environ, path.removeprefix(MOUNT), start_response)
        except Problem as problem:
            return problem_response(problem, start_response)

    def _answer(
        self, environ: dict[str, Any], path: str, start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD", "PUT"):
            raise MethodNotAllowed
        grant = granted(method, path, environ.get("QUERY_STRING", ""))
        if method == "PUT":
            self._take(environ, grant)
            start_response("200 OK", [("Content-Length", "0"), *_HEADERS])
            return []
        stat = self._store().stat(path)
        if stat is None:
            raise NotFound
        disposition = f'attachment; filename="{grant.filename}"' if grant.filename else "attachment"
        headers = [
            ("Content-Type", grant.content_type),
            ("Content-Length", str(stat.size)),
            ("Content-Disposition", disposition),
            ("ETag", stat.version),
            *_HEADERS,
        ]
        body = [] if method == "HEAD" else self._store().read(path, _CHUNK)
        start_response("200 OK", headers)
        return body

    def _take(self, environ: dict[str, Any], grant: Grant) -> None:
        if environ.get("CONTENT_LENGTH") != str(grant.size):
            raise Forbidden(f"The URL is for {grant.size} bytes: send that Content-Length.")
        if environ.get("CONTENT_TYPE", "") != grant.content_type:
            raise UnsupportedMediaType(f"The URL is for {grant.content_type}.")
        body, left = environ["wsgi.input"], grant.size or 0
        with self._store().write(grant.path) as made:
            while left:
                data = body.read(min(left, _CHUNK))
                if not data:
                    raise BadRequest("The body ended early.")
                left -= made.write(data)
