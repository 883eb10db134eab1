"""Staff accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from functions.auth.api.base import ADMINS, Body, api
from functions.auth.domain import Grant, Status
from functions.auth.service import staff
from functions.auth.store import users as user_store
from shared.access import GROUP, owner
from shared.db import Row
from shared.errors import Conflict, Forbidden, NotFound
from shared.http import IfMatch, Reply
from shared.identity import Caller
from shared.pages import Page, PageQuery
from shared.runtime import database
from shared.types import (
    Email,
    Language,
    PersonName,
)

__all__ = ["RoleOut", "User", "user"]

StaffRole = Literal["RECEPTIONIST", "DENTIST", "ADMIN"]


class RoleIn(Body):
    """A role in one clinic; without ``clinic_id`` for the whole group."""

    role: StaffRole
    clinic_id: UUID | None = None


class RolesIn(Body):
    """All roles a staff member is to have."""

    roles: list[RoleIn] = Field(min_length=1, max_length=100)

    def grants(self) -> list[Grant]:
        """Without repetitions."""
        return list(dict.fromkeys(Grant(item.role, item.clinic_id) for item in self.roles))


class NewStaff(RolesIn):
    """A staff account; without a password an invitation link is made."""

    email: Email
    first_name: PersonName
    last_name: PersonName
    language: Language = "en"
    password: str | None = Field(default=None, max_length=1024)


class RoleOut(BaseModel):
    """A role and where it holds."""

    role: str
    clinic_id: UUID | None


class User(BaseModel):
    """An account."""

    id: UUID
    email: str | None
    status: Status
    first_name: str | None
    last_name: str | None
    language: str
    roles: list[RoleOut]
    created_at: datetime

    @classmethod
    def of(cls, row: Row) -> Reply[User]:
        """The account with its version as ETag."""
        return Reply(cls.model_validate(row), etag=row["version"])


class StaffCreated(BaseModel):
    """A new staff account."""

    id: UUID
    link: str | None


class UserFilter(PageQuery):
    """Which staff to list."""

    role: StaffRole | None = None
    status: Status | None = None


@api.post("/users", access=ADMINS, returns=StaffCreated, status=201, problems=[Conflict, Forbidden])
def create_staff(body: NewStaff, caller: Caller) -> Reply[StaffCreated]:
    """Create a staff account; ADMINs of a clinic for their clinic only."""
    user_id, link = staff.create_staff(
        email=body.email,
        first_name=body.first_name,
        last_name=body.last_name,
        language=body.language,
        grants=body.grants(),
        password=body.password,
        by=caller,
    )
    return Reply(StaffCreated(id=user_id, link=link), location=f"{api.prefix}/users/{user_id}")


@api.get("/users", access=ADMINS, returns=Page[User])
def list_staff(query: UserFilter, caller: Caller) -> Page[User]:
    """Staff accounts; ADMINs of a clinic see their clinics' staff."""
    own = None if caller.has("ADMIN", GROUP) else _own_clinics(caller)
    after = query.after(tuple[UUID])
    rows = user_store.listing(
        database("auth"),
        role=query.role,
        status=query.status,
        clinics=own,
        after=after[0] if after else None,
        limit=query.limit + 1,
    )
    return Page.of(rows, query.limit, lambda row: (row["id"],), User.model_validate)


@api.get("/users/{user_id}", access=ADMINS | owner("user_id"), returns=User, problems=[NotFound])
def show_user(user_id: UUID, caller: Caller) -> Reply[User]:
    """One account; ADMINs of a clinic see their clinics' staff."""
    everybody = caller.is_owner(user_id) or caller.has("ADMIN", GROUP)
    return user(user_id, None if everybody else _own_clinics(caller))


@api.put("/users/{user_id}/roles", access=ADMINS, returns=User, problems=[NotFound, Forbidden])
def replace_roles(user_id: UUID, body: RolesIn, if_match: IfMatch, caller: Caller) -> Reply[User]:
    """Give a staff member these roles instead; takes effect within seconds."""
    staff.replace_roles(user_id, body.grants(), version=if_match, by=caller)
    return user(user_id)


@api.post("/users/{user_id}/deactivate", access=ADMINS, problems=[NotFound, Forbidden, Conflict])
def deactivate(user_id: UUID, caller: Caller) -> None:
    """Lock an account; its tokens stop working within seconds."""
    staff.deactivate(user_id, caller)


@api.post("/users/{user_id}/reactivate", access=ADMINS, problems=[NotFound, Forbidden, Conflict])
def reactivate(user_id: UUID, caller: Caller) -> None:
    """Open a deactivated account again."""
    staff.reactivate(user_id, caller)


def user(user_id: UUID | None, clinics: list[UUID] | None = None) -> Reply[User]:
    """One account, of one of ``clinics`` where these are given. Raises NotFound, Forbidden."""
    row = user_store.get(database("auth"), user_id, clinics) if user_id else None
    if row is None:
        raise NotFound("There is no such account.")
    if not row["allowed"]:
        raise Forbidden("You administer other clinics than this account belongs to.")
    return User.of(row)


def _own_clinics(caller: Caller) -> list[UUID]:
    """Where the caller is ADMIN."""
    return [UUID(place) for place, held in caller.clinics.items() if "ADMIN" in held]
