"""A gunicorn as the embedded stack runs it: ``python -m infra.bench.serve PARENT PORT WHAT``.

WHAT is hello, a service (as the cloud's framework builds them) or services (the events targets of
the synthetic ones). Two workers with eight threads each, whatever is served.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from infra.local import lifeline
from infra.local.preflight import HOST
from infra.local.router import Application, Router
from infra.local.server import Server

__all__ = ["build"]

_ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    "hello": ("hello", _ROOT / "infra" / "bench" / "hello.py"),
    "patient": ("http", _ROOT / "functions" / "patient" / "main.py"),
    "auth": ("http", _ROOT / "functions" / "auth" / "main.py"),
    "appointment": ("http", _ROOT / "functions" / "appointment" / "main.py"),
    "dental_records": ("http", _ROOT / "functions" / "dental_records" / "main.py"),
}


def build(what: str) -> Application:
    """The WSGI application."""
    from functions_framework import create_app

    if what in SOURCES:
        target, source = SOURCES[what]
        app: Application = create_app(target, str(source))
        return app
    targets = _ROOT / "infra" / "bench" / "targets.py"
    apps = {name: create_app(name, str(targets)) for name in ("alpha", "beta", "gamma", "bare")}
    return Router({}, apps, _nothing)


def _nothing(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ARG001
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


if __name__ == "__main__":
    parent, port, name = sys.argv[1:]
    lifeline.follow(int(parent))
    Server(build(name), f"{HOST}:{port}", 2).run()  # type: ignore[no-untyped-call]
