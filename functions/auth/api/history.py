"""What an account was, and when: for its person, and an ADMIN of the group."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import BaseModel, RootModel

from functions.auth.api.base import GROUP_ADMINS, api
from functions.auth.api.users import RoleOut
from functions.auth.domain import Status
from functions.auth.service import history
from shared.access import owner
from shared.db import Row
from shared.errors import NotFound, Unavailable
from shared.pages import Moment, Page, PageQuery

What = Literal[
    "created",
    "begun",
    "invited",
    "activated",
    "deactivated",
    "reactivated",
    "email",
    "password",
    "roles",
]


class HistoryQuery(PageQuery):
    """``as_of``: the account as it was then, instead of its changes."""

    as_of: Moment | None = None


class Account(BaseModel):
    """An account as it was."""

    email: str | None
    status: Status
    roles: list[RoleOut]


class AccountChange(BaseModel):
    """One change of an account."""

    version: int
    """The first is 1."""
    at: datetime
    what: What
    account: Account
    """As it was afterwards."""
    by: UUID | None
    """The person who did it; null: a service, or somebody who was not signed in."""

    @classmethod
    def of(cls, row: Row) -> Self:
        """The representation of ``row``."""
        return cls(
            version=row["version"],
            at=row["at"],
            what=row["what"],
            account=Account.model_validate(row),
            by=row["by_person"],
        )


class AccountThen(BaseModel):
    """An account as it was."""

    as_of: datetime
    version: int
    """Of the last change by then."""
    account: Account


class AccountHistory(RootModel[Page[AccountChange] | AccountThen]):
    """The changes, oldest first, or the account as it was."""


@api.get(
    "/users/{user_id}/history",
    access=owner("user_id") | GROUP_ADMINS,
    returns=AccountHistory,
    problems=[NotFound, Unavailable],
)
def show_account_history(user_id: UUID, query: HistoryQuery) -> AccountHistory:
    """How an account changed, or what it was at some time; gone with an erasure."""
    if query.as_of is not None:
        row = history.as_of(user_id, query.as_of)
        account = Account.model_validate(row)
        then = AccountThen(as_of=query.as_of, version=row["version"], account=account)
        return AccountHistory(then)
    return AccountHistory(history.changes(user_id, query).map(AccountChange.of))
