"""A platform for a tool, whether it runs or not: its databases, or all of its environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from infra import manifest
from infra.local import databases, defunct, postgres, preflight
from infra.local.keyring import Keyring
from infra.local.settings import Settings
from shared.config import config

__all__ = ["joined", "visiting"]


@contextmanager
def visiting(directory: Path, who: str) -> Iterator[tuple[Keyring, dict[str, str]]]:
    """The keys of the platform in ``directory``, and the URL of each service's database (and the
    bus's) for its runtime role. PostgreSQL is started if need be, and stopped again then.

    ``who`` is told to somebody who wants to start the platform meanwhile. Raises FileNotFoundError
    where there is none, OSError, ValueError.
    """
    if not (directory / "secrets.json").exists():
        raise FileNotFoundError(f"There is no platform in {directory}: name its directory by DATA.")
    names = manifest.service_names()
    keys = Keyring.open(directory, databases.roles(names))
    data = directory / "postgres"
    with ExitStack() as held:
        # A platform that runs keeps its PostgreSQL.
        with suppress(preflight.CannotStart):
            held.enter_context(preflight.exclusive(directory, f"{who}, {os.getpid()}"))
            defunct.clear(data)
            started = postgres.start(data)
            held.callback(started.stop)
        socket_dir = postgres.start(data).socket_dir
        yield (
            keys,
            {
                name: postgres.database_url(socket_dir, name, keys.passwords[name], f"{name}_db")
                for name in (*names, "bus")
            },
        )


@contextmanager
def joined(directory: Path, who: str) -> Iterator[None]:
    """This process as one of the platform's, and those that it starts, too: from here on the
    environment is theirs. Raises as ``visiting``."""
    with visiting(directory, who) as (keys, urls):
        settings = Settings(directory, 0, keys, urls, urls["bus"], {}, 0)
        os.environ.update(settings.services(manifest.service_names()))
        config.cache_clear()
        yield
