"""Everything the group knows about a person (GDPR, Articles 15 and 20), from every service."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from functions.auth.privacy import privacy
from shared.audit import lifted_for
from shared.client import client
from shared.config import config
from shared.errors import NotFound, Problem, Unavailable
from shared.privacy import ExportFile
from shared.runtime import database, vault

__all__ = ["Part", "files", "gather", "services"]

# An export is rare and may be large; other calls are kept shorter.
_TIMEOUT_S = 10.0


class Part(NamedTuple):
    """What one service knows: table -> rows."""

    service: str
    tables: dict[str, list[dict[str, Any]]]


def services() -> list[str]:
    """Who is asked, in the order of their names."""
    return sorted(config().services)


def files(service: str, person: UUID, asked_by: UUID | None) -> list[ExportFile]:
    """The original files that ``service`` has about ``person``. Raises Unavailable."""
    if service == "auth":
        return []
    listed = _ask(service, f"/-/people/{person}/files", asked_by)
    return [ExportFile(**file) for file in listed]


def gather(person: UUID, asked_by: UUID | None) -> list[Part]:
    """Every service's part, in the order of their names.

    Nothing rather than not everything: raises Unavailable, naming the service, when one does not
    answer. Raises NotFound for a person whom no service knows.
    """
    parts: list[Part] = []
    for service in services():
        if service == "auth":
            tables = privacy.export(database("auth"), vault("auth"), person)
        else:
            tables = _ask(service, f"/-/people/{person}", asked_by)
        parts.append(Part(service, tables))
    if not any(rows for part in parts for rows in part.tables.values()):
        raise NotFound("There is no such person.")
    return parts


def _ask(service: str, path: str, asked_by: UUID | None) -> Any:
    """A service's answer. Raises Unavailable, naming the service."""
    try:
        return client("auth").get(
            service,
            path,
            timeout=_TIMEOUT_S,
            on_behalf_of=asked_by,
            # Who sees what is held of the erased here sees it there.
            purpose=lifted_for(),
        )
    except Unavailable:
        raise
    except Problem:
        # Who knows nothing of the person says so with empty tables: this is another's answer, or
        # that of a version without the route, and no word about the person.
        raise Unavailable(f"{service} does not answer.", service=service) from None
