"""A fresh process that becomes a function, answers, and says what that took.

``python -m infra.bench.first_answer TARGET SOURCE PATH MODULES``: the function TARGET of the file
SOURCE gets PATH, with the token in TOKEN; MODULES (separated by commas) are imported before, as a
request in the cloud would. Prints ``{"answered": Unix seconds of the first answer, "megabytes":
resident after five answers, "status": the worst, "body": the last}``.

Nothing is imported here that the framework does not import by itself.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["main"]


def _ask(app: Callable[..., Any], path: str, token: str) -> tuple[int, str]:
    """One request as gunicorn would put it."""
    statuses: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:  # noqa: ARG001
        statuses.append(status)

    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if token:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    body = b"".join(app(environ, start_response)).decode()
    return int(statuses[0].split()[0]), body


def main(target: str, source: str, path: str, modules: str) -> None:
    """Answer and report; the standard output is the report's alone."""
    out, sys.stdout = sys.stdout, io.StringIO()
    token = os.environ.get("TOKEN", "")
    from functions_framework import create_app

    app = create_app(target, source)
    for name in filter(None, modules.split(",")):
        importlib.import_module(name)
    answers = [_ask(app, path, token)]
    answered = time.time()
    answers += [_ask(app, path, token) for _ in range(4)]
    import psutil

    me = psutil.Process()
    json.dump(
        {
            "answered": answered,
            "megabytes": me.memory_info().rss / 2**20,
            "status": max(status for status, _ in answers),
            "body": answers[-1][1],
        },
        out,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
