"""The history of an account: every change, and the account as it was at any moment."""

from __future__ import annotations

import time
from datetime import datetime
from uuid import UUID

from functions.auth.store import history as store
from functions.auth.store import users
from shared.db import Row, Tx
from shared.errors import NotFound, Unavailable
from shared.pages import Page, PageQuery
from shared.runtime import database

__all__ = ["as_of", "begin", "changes", "follow"]

_BATCH = 100
_BUDGET_S = 20.0
# What may be waiting when somebody looks: the schedule has applied the rest.
_SOON, _SOON_S = 500, 1.0
_PAUSE_S = 0.02


def changes(person: UUID, query: PageQuery) -> Page[Row]:
    """A page of the changes, oldest first, each with the account as it was after it.

    Raises NotFound, BadRequest, Unavailable.
    """
    (after,) = query.after(tuple[int]) or (0,)
    _catch_up(person)
    rows = store.listing(database("auth"), person, after, query.limit + 1)
    return Page.of(rows, query.limit, lambda row: (row["version"],), lambda row: row)


def as_of(person: UUID, moment: datetime) -> Row:
    """The account as it was at ``moment``. Raises NotFound, also for the time before it,
    Unavailable."""
    _catch_up(person)
    row = store.as_of(database("auth"), person, moment)
    if row is None:
        raise NotFound("Nothing is known of that time.")
    return row


def follow(tx: Tx) -> None:
    """Show what ``tx`` changes as soon as it has committed."""
    store.PROJECTOR.follow(tx)


def begin() -> int:
    """Begin the histories of accounts that were made before there were any; how many, in one go."""
    db, until, begun, last = database("auth"), time.monotonic() + _BUDGET_S, 0, UUID(int=0)
    while time.monotonic() < until:
        people = store.without_history(db, last, _BATCH)
        if not people:
            break
        last = people[-1]
        for person in people:
            begun += _begin(person)
    return begun


def _begin(person: UUID) -> bool:
    def work(tx: Tx) -> bool:
        return users.lock(tx, person) is not None

    return database("auth").transaction(work, isolation="READ COMMITTED")


def _catch_up(person: UUID) -> None:
    facts = store.facts(database("auth"), person)
    if facts is None:
        # Never an account, or erased: what stays of the history says nothing.
        raise NotFound("There is no such account.")
    if facts == 0:
        _begin(person)
        facts = 1
    # What was committed before somebody looks is shown, or nothing: an open transaction may hold
    # it back, another process be about to apply it.
    until = time.monotonic() + _SOON_S
    while store.shown(database("auth"), person) < facts:
        if not store.PROJECTOR.run(_SOON, _SOON_S):
            if time.monotonic() >= until:
                raise Unavailable("The history is not up to date yet.")
            time.sleep(_PAUSE_S)
