"""A whole platform in one directory: started, broken, mended and stopped by ``make run`` and tests.

with Stack(tmp_path, mode="processes") as stack:
    stack.kill("patient.http")
    ...                         # stack.url, stack.admin
    stack.start_process("patient.http")
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from infra import manifest
from infra.local import databases, defunct, postgres, preflight
from infra.local.admin import Admin, create_first_admin
from infra.local.children import Children
from infra.local.keyring import Keyring
from infra.local.preflight import HOST
from infra.local.settings import Settings

__all__ = ["Mode", "Stack", "Unhealthy"]

Mode = Literal["together", "processes", "emulators"]

_STOP = 4.0  # seconds for everything but PostgreSQL


class Unhealthy(Exception):
    """The platform did not become healthy in time; the message says what did not answer."""


class Stack:
    """One platform. Its processes are named in ``names``; ``postgres`` is one of them."""

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        mode: Mode = "together",
        *,
        environment: Mapping[str, str] | None = None,
        instances: int = 1,
        restart_after: float = 0.2,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``port`` None: any free one. ``environment``: further variables for every process, with
        ``{process}`` in place of its name. ``instances``: workers of each target in mode processes.

        A process that dies by itself is started again after ``restart_after`` seconds (then ever
        later); one that was killed with ``kill`` stays down. ``say`` hears of deaths.
        """
        self.directory = directory.absolute()
        self.port = port or preflight.free_port()
        self.mode = mode
        self._environment = dict(environment or {})
        self._instances = instances
        self._restart_after = restart_after
        self._say = say
        self._services = manifest.service_names()
        self._cluster: postgres.Cluster | None = None
        self._children: Children | None = None
        self._held = ExitStack()

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def admin(self) -> Admin:
        """The first administrator's credentials."""
        return Admin.read(self.directory)

    @property
    def cluster(self) -> postgres.Cluster:
        """The running PostgreSQL; ``cluster.admin_url`` reaches every database."""
        if self._cluster is None:
            raise RuntimeError("the stack is not started")
        return self._cluster

    @property
    def names(self) -> list[str]:
        """What can be killed: web, background, postgres; one per target in mode processes."""
        return ["postgres", *self._family.names]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, timeout: float = 180.0) -> None:
        """Start everything and wait until it is healthy; what the directory holds is kept.

        Raises CannotStart (see preflight), Unhealthy, NoAdmin, and what PostgreSQL raises.
        """
        try:
            preflight.writable(self.directory)
            self._held.enter_context(
                preflight.exclusive(self.directory, f"{self.url}, process {os.getpid()}")
            )
            preflight.check_port(self.port)
            self._start_all(timeout)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in order; what could not stop in time is ended."""
        if self._children is not None:
            # Deliveries first, so that none meets a platform that is going away.
            self._children.stop(["background"], _STOP / 2)
            self._children.stop(self._children.names, _STOP)
            self._children.close()
            self._children = None
        if self._cluster is not None:
            self._cluster.stop()
            self._cluster = None
        self._held.close()

    def kill(self, name: str) -> None:
        """End a process and its workers with -9; it stays down until ``start_process``."""
        if name == "postgres":
            defunct.kill(self.directory / "postgres")
        else:
            self._family.kill(name)

    def start_process(self, name: str) -> None:
        """Start again what ``kill`` ended; nothing happens to a process that runs."""
        if name == "postgres":
            self._start_postgres()
        else:
            self._family.start(name)

    def pause(self, name: str) -> None:
        """Freeze a process and its workers where they are."""
        self._family.signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a paused process go on, as if no time had passed for it."""
        self._family.signal(name, signal.SIGCONT)

    def alive(self, name: str) -> bool:
        """Whether a process (not postgres) runs."""
        return self._family.alive(name)

    def log(self, name: str) -> Path:
        """The file with everything that process has written."""
        return self._family.log(name)

    def database_url(self, service: str) -> str:
        """The URL of a service's database (or ``bus``) for its runtime role."""
        return self._urls[service]

    def wait_healthy(self, timeout: float = 120.0) -> None:
        """Wait until every service's health route answers 200 and the bus delivers.

        Raises Unhealthy.
        """
        deadline = time.monotonic() + timeout
        waiting: dict[str, str] | None = None
        last = "nothing listens"
        while time.monotonic() < deadline:
            try:
                if waiting is None:
                    waiting = json.loads(self._get("/services.json"))
                for name, prefix in list(waiting.items()):
                    last = name
                    self._get(f"{prefix}/-/health")
                    del waiting[name]
                last = "background"
                if self.alive("background") and not self._ready.exists():
                    raise ValueError("not ready")
            except (OSError, http.client.HTTPException, ValueError) as fault:
                last = f"{last.partition(':')[0]}: {fault}"
                time.sleep(0.05)
            else:
                return
        raise Unhealthy(f"not healthy within {timeout:.0f} s: {last}")

    @property
    def _family(self) -> Children:
        if self._children is None:
            raise RuntimeError("the stack is not started")
        return self._children

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=15)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(f"{path} answers {response.status}")
        return body

    def _start_all(self, timeout: float) -> None:
        names = self._services
        keys = Keyring.open(self.directory, databases.roles(names))
        self._urls = databases.prepare(self._start_postgres(), names, keys)
        settings = self._settings(keys)
        settings.prepare()
        self._ready = settings.run_dir / "background.ready"
        self._ready.unlink(missing_ok=True)
        self._children = Children(
            self.directory / "log", say=self._say, first_pause=self._restart_after
        )
        self._start_web(settings)
        arguments = [settings.url, str(settings.run_dir)]
        if self.mode == "emulators":
            arguments.append("--emulators")
        self._add("background", "background", arguments, settings.background())
        self.wait_healthy(timeout)
        if "auth" in names:
            create_first_admin(self.directory, settings.services(["auth"]), manifest.ROOT)

    def _start_postgres(self) -> postgres.Cluster:
        data = self.directory / "postgres"
        defunct.clear(data)
        self._cluster = postgres.start(data)
        return self._cluster

    def _settings(self, keys: Keyring) -> Settings:
        extra, bus_url = self._environment, self._urls["bus"]
        if self.mode == "emulators":
            from shared.bus import PROJECT

            bus_url = f"pubsub://{PROJECT}"
            for name in ("PUBSUB_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST"):
                extra.setdefault(name, f"{HOST}:{preflight.free_port()}")
            extra["DOCUMENTS_URL"] = f"firestore://{PROJECT}/(default)"
            extra["EMULATOR_LOGS"] = str(self.directory / "log")
        smtp_port = preflight.free_port()
        return Settings(self.directory, self.port, keys, self._urls, bus_url, extra, smtp_port)

    def _start_web(self, settings: Settings) -> None:
        bind = f"{HOST}:{self.port}"
        everything, mails = settings.services(self._services), str(settings.mail_dir)
        if self.mode != "processes":
            self._add("web", "server", [bind, "2", "together", mails], everything)
            return
        from infra.local.server import socket_path

        for service in self._services:
            for target in ("http", "events"):
                path = socket_path(settings.run_dir, service, target)
                what = [f"unix:{path}", str(self._instances), "target", service, target]
                self._add(f"{service}.{target}", "server", what, settings.services([service]))
        what = [bind, "1", "gateway", str(settings.run_dir), mails]
        self._add("gateway", "server", what, settings.common())

    def _add(
        self, name: str, module: str, arguments: list[str], environment: Mapping[str, str]
    ) -> None:
        command = [sys.executable, "-m", f"infra.local.{module}", str(os.getpid()), *arguments]
        own = {key: value.replace("{process}", name) for key, value in environment.items()}
        self._family.add(name, command, own)
