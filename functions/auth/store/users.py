"""Accounts and their roles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from functions.auth.domain import Grant, Status
from shared.audit import audited, who
from shared.db import Database, Row, Tx

__all__ = [
    "ROLES",
    "active_admins",
    "any_admin",
    "by_email",
    "claim",
    "contact",
    "delete",
    "get",
    "grants",
    "insert",
    "listing",
    "lock",
    "set_email",
    "set_national_id",
    "set_password",
    "set_roles",
    "set_status",
    "touch",
]

# A user's grants as JSON, to be selected beside its row.
ROLES = """coalesce((select json_agg(json_build_object('role', r.role, 'clinic_id', r.clinic_id))
  from user_roles r where r.user_id = u.id), '[]') as roles"""

_SHOWN = f"""u.id, u.status, u.email, u.first_name, u.last_name, u.language, u.version,
 u.created_at, {ROLES}"""


def grants(row: Row) -> list[Grant]:
    """The grants of a row that was selected with ``ROLES``."""
    return [
        Grant(item["role"], UUID(item["clinic_id"]) if item["clinic_id"] else None)
        for item in row["roles"]
    ]


def insert(tx: Tx, user_id: UUID, *, status: Status, language: str, **fields: Any) -> None:
    """A new account. Raises UniqueViolation on ``users_email``, ``users_national_id``."""
    tx.run(
        "insert into users (id, status, email, password_hash, national_id, national_id_index,"
        " first_name, last_name, language) values (:id, :status, :email, :password_hash,"
        " :national_id, :national_id_index, :first_name, :last_name, :language)",
        id=user_id,
        status=status,
        language=language,
        **{
            name: fields.get(name)
            for name in (
                "email",
                "password_hash",
                "national_id",
                "national_id_index",
                "first_name",
                "last_name",
            )
        },
    )


_GET = audited(
    f"""
select {_SHOWN},
       :clinics::uuid[] is null or exists (
         select from user_roles r where r.user_id = u.id and r.clinic_id = any(:clinics::uuid[])
       ) as allowed
  from users u where u.id = :id""",  # nosec B608
    action="read",
    what="account",
    person="id",
    where="allowed",
)
_CONTACT = audited(
    "select id, email, language from users where id = :id",
    action="read",
    what="email",
    person="id",
)
_LISTING = audited(
    f"""
select {_SHOWN}, row_number() over (order by u.id) < :limit as shown
  from users u
 where (:after::uuid is null or u.id > :after)
   and (:status::text is null or u.status = :status)
   and exists (select from user_roles r where r.user_id = u.id and r.role <> 'PATIENT'
                  and (:role::text is null or r.role = :role)
                  and (:clinics::uuid[] is null or r.clinic_id = any(:clinics)))
 order by u.id limit :limit""",  # nosec B608
    action="search",
    what="account",
    person="id",
    where="shown",
)


def get(db: Database, user_id: UUID, clinics: list[UUID] | None = None) -> Row | None:
    """An account to be shown to whoever acts, if ``allowed``: of one of ``clinics`` where these
    are given."""
    return db.one(_GET, id=user_id, clinics=clinics, **who())


def contact(db: Database, user_id: UUID) -> Row | None:
    """Where and in which language the person is written to: email, language."""
    return db.one(_CONTACT, id=user_id, **who())


def lock(tx: Tx, user_id: UUID) -> Row | None:
    """The whole row, locked until the transaction ends."""
    return tx.one(
        f"select u.*, {ROLES} from users u where u.id = :id for update",  # nosec
        id=user_id,
    )


def claim(tx: Tx, user_id: UUID) -> Row | None:
    """The row as it is now, locked *and changed*, so that a REPEATABLE READ transaction waiting
    for it starts anew and sees what this one adds; call it under READ COMMITTED."""
    tx.run("update users set updated_at = now() where id = :id", id=user_id)
    # A statement of its own: roles that were replaced while the first one waited count.
    return lock(tx, user_id)


def by_email(db: Database, email: str) -> Row | None:
    """The account that logs in with ``email``."""
    return db.one(
        f"select u.*, {ROLES} from users u where u.email = :email",  # nosec
        email=email,
    )


def touch(tx: Tx, user_id: UUID) -> int:
    """Raise the version (what keeps a person's messages in order) and return it."""
    return int(
        tx.value(
            "update users set version = version + 1, updated_at = now() where id = :id"
            " returning version",
            id=user_id,
        )
    )


def set_status(tx: Tx, user_id: UUID, status: Status) -> int:
    """Change the status; the new version."""
    tx.run("update users set status = :status where id = :id", id=user_id, status=status)
    return touch(tx, user_id)


def set_email(tx: Tx, user_id: UUID, email: str) -> int:
    """Change the address; the new version. Raises UniqueViolation on ``users_email``."""
    tx.run("update users set email = :email where id = :id", id=user_id, email=email)
    return touch(tx, user_id)


def set_password(tx: Tx, user_id: UUID, password_hash: str) -> int:
    """Change the password; the new version."""
    tx.run("update users set password_hash = :h where id = :id", id=user_id, h=password_hash)
    return touch(tx, user_id)


def set_national_id(
    tx: Tx, user_id: UUID, *, sealed: bytes | None, index: bytes | None, version: int
) -> None:
    """The number as of patient's ``version``. Raises UniqueViolation on ``users_national_id``."""
    tx.run(
        "update users set national_id = :sealed, national_id_index = :index,"
        " national_id_version = :version where id = :id",
        id=user_id,
        sealed=sealed,
        index=index,
        version=version,
    )


def set_roles(tx: Tx, user_id: UUID, grants: Iterable[Grant]) -> None:
    """Replace the roles. Raises ForeignKeyViolation for an unknown clinic."""
    wanted: Sequence[Grant] = list(grants)
    tx.run("delete from user_roles where user_id = :id", id=user_id)
    tx.run(
        "insert into user_roles (user_id, clinic_id, role)"
        " select :id::uuid, c, r from unnest(:clinics::uuid[], :roles::text[]) as x(c, r)",
        id=user_id,
        clinics=[grant.clinic_id for grant in wanted],
        roles=[grant.role for grant in wanted],
    )


def delete(tx: Tx, user_id: UUID) -> int:
    """Remove the account and everything that hangs on it; how many there were (0 or 1)."""
    return tx.run("delete from users where id = :id", id=user_id)


def listing(
    db: Database,
    *,
    role: str | None,
    status: str | None,
    clinics: list[UUID] | None,
    after: UUID | None,
    limit: int,
) -> list[Row]:
    """Staff accounts by id, the last of ``limit`` not to be shown; ``clinics`` None: of the whole
    group."""
    return db.all(
        _LISTING + " order by id",
        after=after,
        status=status,
        role=role,
        clinics=clinics,
        limit=limit,
        **who(),
    )


def active_admins(tx: Tx) -> list[UUID]:
    """Who can administer the whole group, locked until the transaction ends."""
    rows = tx.all(
        "select u.id from users u where u.status = 'ACTIVE' and exists (select from user_roles r"
        " where r.user_id = u.id and r.role = 'ADMIN' and r.clinic_id is null)"
        " order by u.id for update of u"
    )
    return [row["id"] for row in rows]


def any_admin(tx: Tx) -> bool:
    """Is there a group-wide ADMIN? Nobody else can make one until the transaction ends."""
    tx.run("lock table user_roles in share row exclusive mode")
    return bool(
        tx.value(
            "select exists (select from user_roles where role = 'ADMIN' and clinic_id is null)"
        )
    )
