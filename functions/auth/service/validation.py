"""Do the services agree on who there is? Nobody is known to one alone, nobody who was erased is
known to any but as far as a law holds it, and everybody has one e-mail address.

Messages are under way at any moment: what disagrees counts if it still does after a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from functions.auth.privacy import privacy
from functions.auth.store import roll
from shared import validation
from shared.client import client
from shared.config import config
from shared.db import Database
from shared.privacy import Privacy
from shared.runtime import database
from shared.validation import PAGE, Address, Finding, Known

__all__ = ["Asking", "Here", "Remote", "compare", "validate"]

GRACE_S = 10.0
_TIMEOUT_S = 30.0
_SHOWN = 5

Violation = tuple[str, str, UUID]
"""Check, service, and whom it is about."""
P = TypeVar("P", Known, Address)


class Asking(Protocol):
    """How a service is asked for a page of what it has behind an id."""

    def people(self, service: str, after: UUID) -> Sequence[Known]:
        """Whom it knows."""
        ...

    def addresses(self, service: str, after: UUID) -> Sequence[Address]:
        """Whose address it keeps."""
        ...


class Remote:
    """Asks services as auth does; itself, directly. Raises Unavailable."""

    def people(self, service: str, after: UUID) -> Sequence[Known]:
        if service == "auth":
            return validation.people(database("auth"), privacy, after)
        rows = self._ask(service, "people", after)
        return [Known(UUID(row[0]), bool(row[1]), bool(row[2])) for row in rows]

    def addresses(self, service: str, after: UUID) -> Sequence[Address]:
        if service == "auth":
            return validation.addresses(database("auth"), privacy, after)
        return [Address(UUID(row[0]), row[1]) for row in self._ask(service, "addresses", after)]

    @staticmethod
    def _ask(service: str, what: str, after: UUID) -> list[list[Any]]:
        path = f"/-/validation/{what}?after={after}"
        found: list[list[Any]] = client("auth").get(service, path, timeout=_TIMEOUT_S)
        return found


class Here(NamedTuple):
    """Reads each service's own database: for a tool that may, while nothing runs."""

    databases: Callable[[str], Database]
    declared: Callable[[str], Privacy]

    def people(self, service: str, after: UUID) -> Sequence[Known]:
        """As the service would answer."""
        return validation.people(self.databases(service), self.declared(service), after)

    def addresses(self, service: str, after: UUID) -> Sequence[Address]:
        """As the service would answer."""
        return validation.addresses(self.databases(service), self.declared(service), after)


def validate() -> int:
    """Compare, and let operators know; how many violations. Raises Unavailable."""
    return validation.tell(compare(Remote(), lambda: time.sleep(GRACE_S)))


def compare(asking: Asking, wait: Callable[[], None]) -> list[Finding]:
    """What disagrees, and still does after ``wait``, for each service."""
    services = sorted(config().services)
    found = _violations(asking, services)
    if found:
        wait()
        found &= _violations(asking, services)
    return [
        _finding(check, service, [p for c, s, p in found if (c, s) == (check, service)])
        for check, asked in (("people", services), ("emails", ["patient"]))
        for service in asked
        if service in services
    ]


def _finding(check: str, service: str, people: Sequence[UUID]) -> Finding:
    some = ", ".join(map(str, sorted(people)[:_SHOWN]))
    return Finding(check, service, len(people), f"{_ABOUT[check]}: {some}" if some else "")


_ABOUT = {
    "people": "in no other service, or erased and still here",
    "emails": "another address than in auth",
}


def _violations(asking: Asking, services: Sequence[str]) -> set[Violation]:
    def pages(ask: Callable[[str, UUID], Sequence[P]], service: str) -> Iterator[P]:
        after = UUID(int=0)
        while page := ask(service, after):
            yield from page
            after = page[-1].id
            if len(page) < PAGE:
                break

    erased, staff = roll.erased(database("auth")), roll.staff(database("auth"))
    primary = {a.id: a.digest for a in pages(asking.addresses, "auth")}
    replica: dict[UUID, str | None] = {}
    if "patient" in services:
        replica = {a.id: a.digest for a in pages(asking.addresses, "patient")}
    found: set[Violation] = set()
    for service in services:
        for one in pages(asking.people, service):
            if one.id in erased:
                sound = one.held
            else:
                sound = not one.erased and (one.id in replica or one.id in staff)
            if not sound:
                found.add(("people", service, one.id))
    for person, digest in replica.items():
        if person not in erased and primary.get(person, "") != digest:
            found.add(("emails", "patient", person))
    return found
