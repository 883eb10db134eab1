"""What the job ``<service>-migrate`` runs: ``python -m infra.deploy_database SERVICE``.

Closes the service's database to every other role, then migrates it (infra/migrate.py). The
environment is that of a migration (docs/configuration.md). It may run as often as one likes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from infra.migrate import migrate
from shared.db import Database, Tx

__all__ = ["close", "main"]


def close(owner_url: str, role: str) -> None:
    """Let ``role`` and the owner connect, and nobody else.

    Where the platform's databases share an instance, every account may connect to each of them
    until this has run. Raises Unavailable.
    """
    db = Database(owner_url)
    try:
        db.transaction(lambda tx: _close(tx, role), isolation="READ COMMITTED")
    finally:
        db.close()


def _close(tx: Tx, role: str) -> None:
    name = tx.value("select current_database()")
    # The instance ends statements and transactions of services early; a migration may take longer.
    # That of locks stays: whoever waits for one keeps all others waiting.
    for setting in ("statement_timeout", "transaction_timeout"):
        tx.run(f"alter role current_user set {setting} = 0")
    # An abandoned transaction hides new rows from ordered readers. For the rest there are flags.
    tx.run(f"alter database \"{name}\" set transaction_timeout = '60s'")
    tx.run(f"""
        revoke all on database "{name}" from public;
        grant connect on database "{name}" to current_user, "{role}";
        revoke all on schema public from public""")


def main(arguments: Sequence[str]) -> int:
    """Close and migrate the database of the service named."""
    (service,) = arguments
    url = os.environ[f"{service.upper()}_OWNER_DATABASE_URL"]
    role = os.environ.get(f"{service.upper()}_ROLE", service)
    close(url, role)
    applied = migrate(url, service, role)
    print(f"{service}: applied {', '.join(applied) or 'nothing, it is up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
