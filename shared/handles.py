"""This process's handles on a service's own things: its database, its outbox, its keys.

Made at first use and shared by every thread; nothing is opened before a statement needs it.
"""

from __future__ import annotations

from threading import Lock

from shared.bus import Publisher, publisher
from shared.config import config
from shared.crypto import Vault
from shared.db import Database
from shared.outbox import Outbox

__all__ = ["connected", "database", "install", "outbox", "vault"]

_databases: dict[str, Database] = {}
_publishers: dict[tuple[str, str | None], Publisher] = {}
_vaults: dict[str, Vault] = {}
_lock = Lock()
_EMBEDDED_LEASE_S = 0.8


def database(service: str) -> Database:
    """This process's handle on ``service``'s database, with its outbox. Raises MissingSettings."""
    found = _databases.get(service)
    if found is None:
        with _lock:
            found = _databases.get(service)
            if found is None:
                settings = config()
                bus = _publisher(settings.bus_url, settings.bus_poke_socket)
                # The embedded schedule ticks each second: a short lease mends a crash within two.
                lease = _EMBEDDED_LEASE_S if settings.env == "embedded" else None
                box = Outbox(service, bus, lease_s=lease)
                found = Database(settings.database_url(service), outbox=box)
                _databases[service] = found
    return found


def _publisher(url: str, poke_socket: str | None) -> Publisher:
    """One for all services of this process: each holds a connection for every thread."""
    found = _publishers.get((url, poke_socket))
    if found is None:
        found = _publishers[url, poke_socket] = publisher(url, poke_socket=poke_socket)
    return found


def vault(service: str) -> Vault:
    """The keys of ``service``, in its own database."""
    found = _vaults.get(service)
    if found is None:
        found = _vaults[service] = Vault(database(service))
    return found


def install(service: str, db: Database) -> None:
    """Use ``db`` for ``service`` from now on (tests and tools)."""
    _databases[service] = db
    _vaults.pop(service, None)


def connected(service: str, url: str, bus: Publisher) -> Database:
    """``install`` the database at ``url``, whose outbox publishes on ``bus``, and return it."""
    made = Database(url, outbox=Outbox(service, bus))
    install(service, made)
    return made


def outbox(service: str) -> Outbox:
    """The outbox of ``service``."""
    box = database(service).outbox
    if not isinstance(box, Outbox):
        raise TypeError(f"{service} has no outbox")
    return box
