"""One WSGI application for all targets: each mounted by its path, the pages for the rest.

``/api/<prefix>...`` is a service's http target, ``/_events/<service>/`` its events target, which
sees the rest of the path as the cloud's push would send it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from shared.errors import Problem

__all__ = ["Application", "Router", "problem_response"]

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Router:
    """Chooses by the first two segments of the path."""

    def __init__(
        self, apis: Mapping[str, Application], events: Mapping[str, Application], rest: Application
    ) -> None:
        """``apis`` by URL prefix (``/api/patients``), ``events`` by service."""
        self._apis = dict(apis)
        self._events = {f"/_events/{name}": target for name, target in events.items()}
        self._rest = rest

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """WSGI."""
        path: str = environ["PATH_INFO"]
        mount = "/".join(path.split("/", 3)[:3])
        target = self._apis.get(mount)
        if target is None:
            target = self._events.get(mount)
            if target is None:
                return self._rest(environ, start_response)
            environ["PATH_INFO"] = path[len(mount) :] or "/"
        return target(environ, start_response)


def problem_response(problem: Problem, start_response: Callable[..., Any]) -> list[bytes]:
    """Answer with problem+json, for what no service answers."""
    body = json.dumps(problem.to_dict()).encode()
    headers = [
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if "retry_after" in problem.extra:
        headers.append(("Retry-After", str(problem.extra["retry_after"])))
    start_response(f"{problem.status} {problem.to_dict()['title']}", headers)
    return [body]
