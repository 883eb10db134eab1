"""The embedded stack's web processes, each a preloaded gunicorn.

``python -m infra.local.server PARENT BIND WORKERS WHAT...`` where WHAT is ``together MAIL_DIR``
(all targets and the pages), ``gateway SOCKET_DIR MAIL_DIR`` (the pages, and a proxy in front of
single targets) or ``target SERVICE http`` (or ``events``). It dies with process PARENT; BIND is
host:port or unix:path.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication

from infra import manifest
from infra.local import lifeline
from infra.local.hosting import host
from infra.local.objects import Objects
from infra.local.pages import Pages
from infra.local.proxy import Proxy
from infra.local.router import Application, Router

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

__all__ = ["Server", "main", "socket_path"]

_THREADS = 8
_MEMORY = Path("/dev/shm")  # nosec B108
_GRACE = 2  # seconds for requests in flight when the platform stops


def socket_path(directory: Path, service: str, target: str) -> Path:
    """Where the process of one target listens."""
    return directory / f"{service}.{target}.sock"


def _together(mails: Path) -> Application:
    services = manifest.load()
    return Router(
        {s.prefix: host(s.name, "http") for s in services},
        {s.name: host(s.name, "events") for s in services},
        Objects(Pages(services, mails)),
    )


def _gateway(sockets: Path, mails: Path) -> Application:
    services = manifest.load()
    return Router(
        {s.prefix: Proxy(socket_path(sockets, s.name, "http")) for s in services},
        {s.name: Proxy(socket_path(sockets, s.name, "events")) for s in services},
        Objects(Pages(services, mails)),
    )


def _target(service: str, target: str) -> Application:
    app: Application = host(service, target)
    return app


def _application(what: Sequence[str]) -> Application:
    match what:
        case ["together", mails]:
            return _together(Path(mails))
        case ["gateway", sockets, mails]:
            return _gateway(Path(sockets), Path(mails))
        case ["target", service, target]:
            return _target(service, target)
        case _:
            raise SystemExit(__doc__)


class Server(BaseApplication):
    """gunicorn with our settings and nothing from files, arguments or the environment."""

    def __init__(self, application: Application, bind: str, workers: int) -> None:
        self._application = application
        self._settings = {
            "bind": bind,
            "workers": workers,
            "worker_class": "gthread",
            "threads": _THREADS,
            "preload_app": True,
            "keepalive": 65,
            "timeout": 90,
            "graceful_timeout": _GRACE,
            "control_socket_disable": True,
            "loglevel": "warning",
            "proc_name": "dentalhelp",
            # A heartbeat file on a slow disk can stall a worker.
            "worker_tmp_dir": str(_MEMORY) if _MEMORY.is_dir() else None,
            "post_fork": _tie,
        }
        super().__init__()  # type: ignore[no-untyped-call]

    def load_config(self) -> None:
        cfg: Any = self.cfg
        for name, value in self._settings.items():
            cfg.set(name, value)

    def load(self) -> Application:
        return self._application


def _tie(server: Arbiter, worker: Worker) -> None:  # noqa: ARG001 -- gunicorn's signature
    lifeline.follow(os.getppid())


def main(arguments: Sequence[str]) -> Any:
    """Serve until SIGTERM."""
    parent, bind, workers, *what = arguments
    lifeline.follow(int(parent))
    # A Ctrl-C is the parent's to act on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Server(_application(what), bind, int(workers)).run()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(sys.argv[1:])
