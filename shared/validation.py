"""Is what the services hold as it has to be? Each looks at itself here; what has to agree between
services, auth compares (functions/auth/service/validation.py), page by page of ids and digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from shared import log
from shared.crypto import blind_index
from shared.db import Database
from shared.errors import Conflict
from shared.personal import Personal
from shared.privacy import Privacy
from shared.telemetry import counted

if TYPE_CHECKING:
    from shared.projection import Projector

__all__ = ["PAGE", "Address", "Finding", "Known", "addresses", "count", "look", "people", "tell"]

PAGE = 5000
_LATE_S = 60.0
_OVERDUE_S = 300.0
_BACKLOGS = """
select
  (select count(*) from outbox where (envelope::json #>> '{timestamp}')::timestamptz
     < clock_timestamp() - make_interval(secs => :late)) as outbox,
  (select count(*) from dead_letters) as inbox,
  (select count(*) from sagas where status = 'PARKED'
      or wake_at < clock_timestamp() - make_interval(secs => :overdue)) as sagas
"""
_ABOUT = {
    "outbox": f"messages wait for more than {_LATE_S:.0f} s to be published",
    "inbox": "messages were given up: look at the dead letters",
    "sagas": f"sagas are parked, or overdue for more than {_OVERDUE_S:.0f} s",
}
# Filled in with what a declaration in the code says.
_PEOPLE = """
select p.id, e.person_id is not null as erased, e.held_until is not null as held
  from ({tables}) p left join erased_people e on e.person_id = p.id order by p.id limit :limit
"""
_ADDRESSES = """
select a.person_id as id, a.email from ({select}) a where a.person_id > :after
 order by a.person_id limit :limit
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found in one service: ``violations`` of it, 0 when all is well."""

    check: str
    service: str
    violations: int
    about: str = ""
    """In words and ids, never anything personal."""


class Known(NamedTuple):
    """Somebody whom a service has rows about that an erasure deletes."""

    id: UUID
    erased: bool
    """The service has a tombstone."""
    held: bool
    """And a law holds the rows."""


class Address(NamedTuple):
    """Somebody's e-mail address, as a keyed digest; equal for equal addresses."""

    id: UUID
    digest: str | None


def people(db: Database, privacy: Privacy, after: UUID, limit: int = PAGE) -> list[Known]:
    """The next people behind ``after``, by their ids."""
    tables = [t for t in privacy.tables if t.where is None and _goes(t)]
    if not tables:
        return []
    rows = db.all(
        _PEOPLE.format(tables=" union ".join(map(_ids, tables))), after=after, limit=limit
    )
    return [Known(row["id"], row["erased"], row["held"]) for row in rows]


def addresses(db: Database, privacy: Privacy, after: UUID, limit: int = PAGE) -> list[Address]:
    """The next people behind ``after`` whose address the service keeps, by their ids."""
    if privacy.emails is None:
        return []
    rows = db.all(_ADDRESSES.format(select=privacy.emails), after=after, limit=limit)
    return [Address(row["id"], _digest(row["email"])) for row in rows]


def look(service: str, db: Database, projections: Sequence[Projector]) -> list[Finding]:
    """What ``service`` can say of itself: its backlogs, and whether its read models are what their
    events make of them."""
    row = db.one(_BACKLOGS, late=_LATE_S, overdue=_OVERDUE_S) or {}
    found = [Finding(name, service, row[name], about) for name, about in _ABOUT.items()]
    return found + [_compared(service, each) for each in projections]


def count(findings: Iterable[Finding]) -> int:
    """Let metrics know; how many violations there are."""
    total = 0
    for finding in findings:
        counted("dentalhelp.validation.checks", check=finding.check)
        if finding.violations:
            total += finding.violations
            counted("dentalhelp.validation.violations", finding.violations, check=finding.check)
    return total


def tell(findings: Sequence[Finding]) -> int:
    """Let operators know, by metrics and the log; how many violations there are."""
    for finding in findings:
        if finding.violations:
            log.error(
                "validation_violated",
                check=finding.check,
                service=finding.service,
                violations=finding.violations,
                about=finding.about,
            )
    return count(findings)


def _goes(table: Personal) -> bool:
    """Whether an erasure leaves no row that names the person."""
    return table.erase == "delete" or (table.erase == "anonymise" and table.person in table.change)


def _ids(table: Personal) -> str:
    return (
        f"select {table.person} as id from {table.table}"  # nosec B608
        f" where {table.person} > :after"
    )


def _digest(email: str | None) -> str | None:
    return None if email is None else blind_index("email replica", email).hex()


def _compared(service: str, projector: Projector) -> Finding:
    name = projector.projection.name
    try:
        differing = projector.check()
    except Conflict:
        return Finding("projections", service, 0, f"{name}: somebody else compares it now")
    about = "; ".join(f"{each.what} in {each.table}: {each.key}" for each in differing[:5])
    return Finding("projections", service, len(differing), about or name)
