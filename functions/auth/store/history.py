"""An account's history: a fact for each change, in the transaction that makes it, and a read model
that has the account as it was after each.

What a fact says of the person is sealed with the person's key: deleting that erases the history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python

from functions.auth.domain import Grant, Status
from shared.audit import audited, who
from shared.db import Database, Row, Tx
from shared.eventstore import EventStore, Fact, Recorded, Stream
from shared.messages import personal
from shared.projection import Projection, Projector, Side
from shared.runtime import database, vault
from shared.wire import Statement

__all__ = [
    "PROJECTOR",
    "STORE",
    "AccountCreated",
    "AccountRemoved",
    "Activated",
    "Deactivated",
    "EmailChanged",
    "HistoryBegun",
    "Invited",
    "PasswordChanged",
    "Reactivated",
    "RolesChanged",
    "StatusFact",
    "as_of",
    "facts",
    "listing",
    "note",
    "shown",
    "stream",
    "without_history",
]


class AccountCreated(Fact):
    """Somebody has an account."""

    status: Status
    roles: list[Grant]
    email: str | None = personal()
    first_name: str | None = personal()
    """Of staff; a patient's name is in patient."""
    last_name: str | None = personal()
    language: str = personal()


class HistoryBegun(AccountCreated):
    """How an account was that had been made before there were histories."""


class Invited(Fact):
    """The person is to choose a password."""

    status: Status = "INVITED"


class Activated(Fact):
    """The person may log in."""

    status: Status = "ACTIVE"


class Deactivated(Fact):
    """The account was closed."""

    status: Status = "DEACTIVATED"


class Reactivated(Fact):
    """The account was opened again."""

    status: Status


class EmailChanged(Fact):
    """The person logs in by another address."""

    email: str = personal()


class PasswordChanged(Fact):
    """The person chose a password."""


class RolesChanged(Fact):
    """The person has these roles instead."""

    roles: list[Grant]


class AccountRemoved(Fact):
    """The registration failed: there is no account."""


StatusFact = Invited | Activated | Deactivated | Reactivated

_WHAT: dict[type[Fact], str] = {
    AccountCreated: "created",
    HistoryBegun: "begun",
    Invited: "invited",
    Activated: "activated",
    Deactivated: "deactivated",
    Reactivated: "reactivated",
    EmailChanged: "email",
    PasswordChanged: "password",
    RolesChanged: "roles",
}

STORE = EventStore(lambda: vault("auth"), (*_WHAT, AccountRemoved))
_CATEGORY, _EMAIL = "account", "account_history.email"

_APPLY = """
insert into {table} (person_id, version, what, at, by_person, status, roles, email, email_from)
select :person::uuid, :version::integer, :what, :at, :by::uuid,
       coalesce(:status::text, last.status), coalesce(:roles::jsonb, last.roles),
       case when :moved::boolean then :email::bytea else last.email end,
       case when :moved then :version else last.email_from end
  from (select) as always
  left join {table} last on last.person_id = :person and last.version = :version - 1
"""


def stream(person: UUID) -> Stream:
    """The account's history."""
    return Stream(_CATEGORY, person, person)


def note(tx: Tx, person: UUID, fact: Fact, *, facts: int) -> None:
    """Write down the change that made ``tx``'s row the one that has ``facts`` facts."""
    STORE.append(tx, stream(person), [fact], expected=facts - 1)


def _apply(tx: Tx, event: Recorded, table: Side) -> Iterable[Statement] | None:
    if event.type == AccountRemoved.type_name():
        sql = f"delete from {table} where person_id = :person"  # nosec B608
        return [Statement(sql, {"person": event.id})]
    if event.erased:
        return None
    fact = event.fact
    moved, email = hasattr(fact, "email"), getattr(fact, "email", None)
    roles = to_jsonable_python(getattr(fact, "roles", None))
    values = {
        "person": event.id,
        "version": event.version,
        "what": _WHAT[type(fact)],
        "at": event.effective_at,
        "by": event.actor,
        "status": getattr(fact, "status", None),
        "roles": None if roles is None else json.dumps(roles),
        "moved": moved,
        "email": tx.keys[event.id].seal(_EMAIL, email) if moved else None,
    }
    return [Statement(_APPLY.format(table=table), values)]


_PROJECTION = Projection(
    "account_history",
    [_CATEGORY],
    _apply,
    ["account_history"],
    apart_from=frozenset({"email"}),
)
PROJECTOR = Projector(lambda: database("auth"), STORE, _PROJECTION)
"""Keeps the read model up to date."""

# Whoever looks stands in the audit log once, not once for each row.
_SHOW = """
select h.*, k.version as key_version, k.wrapped as key_wrapped,
       row_number() over (order by h.version) = 1 as first
  from {rows} h left join subject_keys k on k.subject = h.person_id
"""


def _shown(rows: str) -> str:
    source = f"(select * from {_PROJECTION.live()} l where {rows})"  # nosec B608
    shown = audited(_SHOW.format(rows=source), action="read", what="account history", where="first")
    return f"{shown} order by version"


_REACHED = (
    f"select coalesce(max(version), 0) as version from {_PROJECTION.live()} l"  # nosec B608
    " where person_id = :person"
)
_LISTING = _shown("person_id = :person and version > :after order by version limit :limit")
_AS_OF = _shown("person_id = :person and at <= :moment order by version desc limit 1")


def listing(db: Database, person: UUID, after: int, limit: int) -> list[Row]:
    """Up to ``limit`` changes behind version ``after``, each with the account as it was then."""
    rows = db.all(_LISTING, person=person, after=after, limit=limit, **who())
    return [_opened(row) for row in rows]


def as_of(db: Database, person: UUID, moment: datetime) -> Row | None:
    """The last change by ``moment``, with the account as it was then."""
    row = db.one(_AS_OF, person=person, moment=moment, **who())
    return None if row is None else _opened(row)


def shown(db: Database, person: UUID) -> int:
    """How many facts of the account's history the read model has."""
    row = db.one(_REACHED, person=person)
    return 0 if row is None else int(row["version"])


def facts(db: Database, user_id: UUID) -> int | None:
    """How many facts the account's history has; None: there is no such account."""
    row = db.one("select facts from users where id = :id", id=user_id)
    return None if row is None else int(row["facts"])


def without_history(db: Database, after: UUID, limit: int) -> list[UUID]:
    """The next accounts behind ``after`` that have none."""
    rows = db.all(
        "select id from users where facts = 0 and id > :after order by id limit :limit",
        after=after,
        limit=limit,
    )
    return [row["id"] for row in rows]


def _opened(row: Row) -> dict[str, Any]:
    email = None
    if row["email"] is not None:
        key = vault("auth").subject(row["person_id"], row["key_version"], row["key_wrapped"])
        email = key.unseal(_EMAIL, row["email"])
    return {**row, "email": email}
