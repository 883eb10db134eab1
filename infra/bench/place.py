"""Where a run takes place: a PostgreSQL of its own with fsync on, databases, and processes."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local import databases, postgres
from infra.local.bus_process import Wiring
from infra.local.children import Children
from infra.local.files import write_private
from infra.local.keyring import Keyring
from infra.local.preflight import HOST, free_port
from infra.local.settings import Settings
from shared.bus import Subscription
from shared.bus_embedded import configure
from shared.config import config
from shared.db import Database
from shared.tokens import SigningKey, sign

__all__ = ["SYNTHETIC", "Place"]

SYNTHETIC = ("alpha", "beta", "gamma")
"""Services that exist in benchmarks only (infra/bench/services.py)."""

_SERVICES = ("auth", "patient", "appointment", "dental_records", *SYNTHETIC)
_STARTED = "dispatcher_started"
_EFFECTS = """
create table effects (
  id bigint generated always as identity primary key, thing uuid not null, what text not null);
grant select, insert, delete on effects to {role};
"""


class Place:
    """The databases and processes of one run; everything is gone afterwards."""

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="dentalhelp-bench-"))
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _open(self) -> None:
        # The times of commits are what latencies are read from.
        more = {"track_commit_timestamp": "on", "log_min_messages": "fatal"}
        self.cluster = postgres.start(self.directory / "postgres", more)
        keys = Keyring.open(self.directory, databases.roles(_SERVICES))
        urls = databases.prepare(self.cluster, _SERVICES, keys)
        for name in SYNTHETIC:
            self.admin(f"{name}_db").all(_EFFECTS.format(role=name))
        bus = Database(urls["bus"])
        configure(bus, [], [*_SERVICES, "bare"])
        bus.close()
        self.token_key = SigningKey.generate()
        jwks = self.directory / "jwks.json"
        write_private(jwks, json.dumps({"keys": [self.token_key.public_jwk()]}))
        self.port = free_port()
        self.settings = Settings(
            self.directory,
            self.port,
            keys,
            urls,
            urls["bus"],
            {"JWKS_URL": jwks.as_uri()},
            smtp_port=free_port(),
        )
        self.settings.prepare()
        os.environ.update(self.settings.services(_SERVICES))
        config.cache_clear()
        self.children = Children(self.directory / "log", say=_complain)

    def _close(self) -> None:
        if "children" in vars(self):
            self.children.close()
        if "cluster" in vars(self):
            self.cluster.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def admin(self, name: str) -> Database:
        """The superuser's handle on database ``name``."""
        cluster = self.cluster
        return Database(
            postgres.database_url(cluster.socket_dir, "postgres", cluster.password, name)
        )

    def database_url(self, service: str) -> str:
        """The URL of ``service``'s database (or ``bus``) for its runtime role."""
        return self.settings.urls[service]

    @cached_property
    def postgres_version(self) -> str:
        """Such as 18.1."""
        row = self.admin("postgres").one("show server_version") or {}
        return str(row["server_version"]).split()[0]

    def token(self, subject: str, role: str) -> str:
        """The access token of somebody with ``role`` in the whole group."""
        now = time.time()
        claims = {
            "iss": self.settings.url,
            "aud": "dentalhelp",
            "sub": subject,
            "sid": "00000000-0000-4000-8000-000000000001",
            "jti": "bench",
            "iat": now,
            "exp": now + 3500,
            "clinics": {"*": [role]},
        }
        return sign(claims, self.token_key)

    def serve(self, what: str, services: Sequence[str] = ()) -> int:
        """Start the gunicorn of ``infra.bench.serve`` and wait until it answers; its port."""
        port = free_port()
        command = [sys.executable, "-m", "infra.bench.serve", str(os.getpid()), str(port), what]
        environment = self.settings.services(services)
        self.children.add(what, command, environment)
        deadline = time.monotonic() + 30
        while True:
            try:
                connection = http.client.HTTPConnection(HOST, port, timeout=5)
                connection.request("GET", "/")
                connection.getresponse().read()
                connection.close()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return port

    def dispatch(self, subscriptions: Sequence[Subscription]) -> None:
        """Start the bus's dispatcher for ``subscriptions`` and wait until it has begun."""
        file = self.directory / "wiring.json"
        file.write_text(json.dumps(asdict(Wiring((), tuple(subscriptions)))), "utf-8")
        command = [sys.executable, "-m", "infra.bench.dispatch", str(os.getpid()), str(file)]
        log = self.children.log("dispatcher")
        # One log for all dispatchers of a run.
        before = log.read_text("utf-8").count(_STARTED) if log.exists() else 0
        self.children.add("dispatcher", command, self.settings.background())
        deadline = time.monotonic() + 30
        while log.read_text("utf-8").count(_STARTED) == before:
            if time.monotonic() > deadline:
                raise TimeoutError("the dispatcher does not start")
            time.sleep(0.05)

    def end(self, *names: str) -> None:
        """Stop what ``serve`` and ``dispatch`` (as ``dispatcher``) started."""
        self.children.stop(names, 4.0)


def _complain(what: str) -> None:
    print(what, file=sys.stderr)
