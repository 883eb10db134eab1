"""Everything the group knows about a person (GDPR, Articles 15 and 20), from every service."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from functions.auth.privacy import privacy
from shared.audit import lifted_for
from shared.client import client
from shared.config import config
from shared.errors import NotFound, Problem, Unavailable
from shared.runtime import database, vault

__all__ = ["Part", "gather"]

# An export is rare and may be large; other calls are kept shorter.
_TIMEOUT_S = 10.0


class Part(NamedTuple):
    """What one service knows: table -> rows."""

    service: str
    tables: dict[str, list[dict[str, Any]]]


def gather(person: UUID, asked_by: UUID | None) -> list[Part]:
    """Every service's part, in the order of their names.

    Nothing rather than not everything: raises Unavailable, naming the service, when one does not
    answer. Raises NotFound for a person whom no service knows.
    """
    parts: list[Part] = []
    for service in sorted(config().services):
        if service == "auth":
            tables = privacy.export(database("auth"), vault("auth"), person)
        else:
            tables = _ask(service, person, asked_by)
        parts.append(Part(service, tables))
    if not any(rows for part in parts for rows in part.tables.values()):
        raise NotFound("There is no such person.")
    return parts


def _ask(service: str, person: UUID, asked_by: UUID | None) -> dict[str, list[dict[str, Any]]]:
    """A service's part. Raises Unavailable, naming the service."""
    path = f"/-/people/{person}"
    try:
        found: dict[str, list[dict[str, Any]]] = client("auth").get(
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
    return found
