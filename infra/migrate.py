"""Forward-only migrations: the kit's tables, then the service's own, then the grants.

``python -m infra.migrate SERVICE`` reads the owner's URL from ``<SERVICE>_OWNER_DATABASE_URL``.
Each file is one transaction; a file that was applied must not change. Two runs at once: the
second waits and finds nothing to do.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from shared.db import Database, Tx

__all__ = ["MigrationChanged", "migrate", "migrate_bus"]

ROOT = Path(__file__).resolve().parent.parent
_LOCK = 7_310_574  # an arbitrary number, the same for every migration run


class MigrationChanged(Exception):
    """A migration that was applied has been edited; write a new one instead."""


def migrate(owner_url: str, service: str, role: str | None = None) -> list[str]:
    """Bring ``service``'s database up to date; the names of what was applied.

    ``role`` is the runtime role that may read and write the rows (default: the service's name).
    """
    kit = ("kit", ROOT / "shared" / "sql" / "migrations")
    own = (service, ROOT / "functions" / service / "migrations")
    return _apply(owner_url, [kit, own], role or service)


def migrate_bus(owner_url: str, role: str = "bus") -> list[str]:
    """The same for the embedded bus's database."""
    return _apply(owner_url, [("bus", ROOT / "shared" / "sql" / "bus")], role)


def _files(sources: list[tuple[str, Path]]) -> Iterator[tuple[str, str]]:
    for prefix, folder in sources:
        for file in sorted(folder.glob("*.sql")):
            yield f"{prefix}/{file.name}", file.read_text()


def _apply(owner_url: str, sources: list[tuple[str, Path]], role: str) -> list[str]:
    db = Database(owner_url)
    applied: list[str] = []
    try:
        db.transaction(_prepare, isolation="READ COMMITTED")
        for name, sql in _files(sources):

            def step(tx: Tx, name: str = name, sql: str = sql) -> bool:
                return _step(tx, name, sql)

            if db.transaction(step, isolation="READ COMMITTED"):
                applied.append(name)
        # Also when nothing was applied: the run that did may have died before this.
        db.transaction(lambda tx: _grant(tx, role), isolation="READ COMMITTED")
    finally:
        db.close()
    return applied


def _alone(tx: Tx) -> None:
    """Wait until no other run is in a step."""
    tx.value("select pg_advisory_xact_lock(:lock)", lock=_LOCK)


def _prepare(tx: Tx) -> None:
    _alone(tx)
    tx.run(
        "create table if not exists schema_migrations ("
        "name text primary key, sha256 text not null,"
        " applied_at timestamptz not null default clock_timestamp())"
    )


def _grant(tx: Tx, role: str) -> None:
    _alone(tx)
    tx.run(f'''
        grant usage on schema public to "{role}";
        grant select, insert, update, delete on all tables in schema public to "{role}";
        grant usage, select on all sequences in schema public to "{role}";
        grant execute on all functions in schema public to "{role}";
        revoke all on schema_migrations from "{role}";
        do $do$ begin
          if to_regclass('audit_log') is not null then
            revoke update, delete on audit_log, audit_seals from "{role}";
          end if;
          if to_regclass('events') is not null then
            revoke update, delete on events from "{role}";
            revoke insert, update, delete on event_epochs from "{role}";
          end if;
        end $do$''')  # nosec B608


def _step(tx: Tx, name: str, sql: str) -> bool:
    _alone(tx)
    digest = hashlib.sha256(sql.encode()).hexdigest()
    done = tx.value("select sha256 from schema_migrations where name = :name", name=name)
    if done is not None:
        if done != digest:
            raise MigrationChanged(f"{name} was edited after it had been applied")
        return False
    tx.all(sql)
    tx.run("insert into schema_migrations values (:name, :digest)", name=name, digest=digest)
    return True


def main() -> int:
    """Migrate the service named on the command line."""
    service = sys.argv[1]
    url = os.environ[f"{service.upper()}_OWNER_DATABASE_URL"]
    role = os.environ.get(f"{service.upper()}_ROLE", service)
    for name in migrate(url, service, role):
        print(f"{urlsplit(url).path.lstrip('/')}: applied {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
