"""The databases and roles of all services on the embedded PostgreSQL, migrated."""

from __future__ import annotations

from collections.abc import Sequence

from infra.local.keyring import Keyring
from infra.local.postgres import Cluster, create_service_database
from infra.migrate import migrate, migrate_bus

__all__ = ["prepare", "roles"]


def roles(services: Sequence[str]) -> list[str]:
    """The database roles that need a password."""
    return [role for name in (*services, "bus") for role in (name, f"{name}_owner")]


def prepare(cluster: Cluster, services: Sequence[str], keys: Keyring) -> dict[str, str]:
    """Bring every service's database and the bus's up to date; name -> runtime URL.

    Raises MigrationChanged, and Unavailable when PostgreSQL is away.
    """
    urls: dict[str, str] = {}
    for name in (*services, "bus"):
        made = create_service_database(
            cluster,
            f"{name}_db",
            name,
            password=keys.passwords[name],
            owner_password=keys.passwords[f"{name}_owner"],
        )
        if name == "bus":
            migrate_bus(made.owner_url)
        else:
            migrate(made.owner_url, name)
        urls[name] = made.url
    return urls
