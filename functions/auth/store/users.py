"""Accounts and their roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from functions.auth.domain import Grant, Status
from functions.auth.store import history
from shared.audit import audited, who
from shared.db import Database, Row, Tx
from shared.eventstore import Fact
from shared.runtime import vault

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
    "rehash",
    "set_email",
    "set_national_id",
    "set_password",
    "set_roles",
    "set_status",
    "tell",
    "touch",
    "untold",
]

# A user's grants as JSON, to be selected beside its row.
ROLES = """coalesce((select json_agg(json_build_object('role', r.role, 'clinic_id', r.clinic_id))
  from user_roles r where r.user_id = u.id), '[]') as roles"""

_SHOWN = f"""u.id, u.status, u.email, u.first_name, u.last_name, u.language, u.version,
 u.created_at, {ROLES}"""


_OPTIONAL = (
    *("email", "password_hash", "national_id", "national_id_index"),
    *("first_name", "last_name"),
)
_INSERT = """
insert into users (id, status, email, password_hash, national_id, national_id_index, first_name,
                   last_name, language, facts)
values (:id, :status, :email, :password_hash, :national_id, :national_id_index, :first_name,
        :last_name, :language, 1)
"""
_GRANT = """
insert into user_roles (user_id, clinic_id, role, told)
select :id::uuid, c, r, true from unnest(:clinics::uuid[], :roles::text[]) as x(c, r)
"""
_CHANGE = """
update users set version = version + 1, facts = facts + 1, updated_at = now(){also}
 where id = :id returning version, facts
"""


def grants(row: Row) -> list[Grant]:
    """The grants of a row that was selected with ``ROLES``."""
    return [
        Grant(item["role"], UUID(item["clinic_id"]) if item["clinic_id"] else None)
        for item in row["roles"]
    ]


def insert(
    tx: Tx,
    user_id: UUID,
    *,
    status: Status,
    language: str,
    grants: Sequence[Grant],
    **fields: Any,
) -> None:
    """A new account. Raises UniqueViolation on ``users_email``, ``users_national_id``,
    ForeignKeyViolation for an unknown clinic."""
    given = {name: fields.get(name) for name in _OPTIONAL}
    tx.run(_INSERT, id=user_id, status=status, language=language, **given)
    tx.run(_GRANT, **_granted(user_id, grants))
    if user_id not in tx.keys:
        tx.keys[user_id] = vault("auth").new_subject(tx, user_id)
    shown = {name: given[name] for name in ("email", "first_name", "last_name")}
    fact = history.AccountCreated(status=status, roles=list(grants), language=language, **shown)
    history.note(tx, user_id, fact, facts=1)


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
    """The whole row, locked until the transaction ends. The history of an account that was made
    before there were any begins here: every change passes."""
    row = tx.one(
        f"select u.*, {ROLES} from users u where u.id = :id for update",  # nosec
        id=user_id,
    )
    if row is not None and row["facts"] == 0:
        _adopt(tx, row)
        row["facts"] = 1
    return row


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


def set_status(tx: Tx, user_id: UUID, fact: history.StatusFact) -> int:
    """Change the status as ``fact`` says; the new version. Like all changes below of a row that
    ``lock`` gave."""
    return _changed(tx, user_id, fact, "status = :status", status=fact.status)


def set_email(tx: Tx, user_id: UUID, email: str) -> int:
    """Change the address; the new version. Raises UniqueViolation on ``users_email``."""
    return _changed(tx, user_id, history.EmailChanged(email=email), "email = :email", email=email)


def set_password(tx: Tx, user_id: UUID, password_hash: str) -> int:
    """Change the password; the new version."""
    return _changed(tx, user_id, history.PasswordChanged(), "password_hash = :h", h=password_hash)


def rehash(tx: Tx, user_id: UUID, password_hash: str) -> None:
    """Keep the same password in another form."""
    tx.run("update users set password_hash = :h where id = :id", id=user_id, h=password_hash)


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


def set_roles(tx: Tx, user_id: UUID, grants: Sequence[Grant]) -> int:
    """Replace the roles; the new version. Raises ForeignKeyViolation for an unknown clinic."""
    tx.run("delete from user_roles where user_id = :id", id=user_id)
    tx.run(_GRANT, **_granted(user_id, grants))
    return _changed(tx, user_id, history.RolesChanged(roles=list(grants)))


def delete(tx: Tx, user_id: UUID) -> bool:
    """Remove the account and everything that hangs on it; whether there was one."""
    facts = tx.value("delete from users where id = :id returning facts", id=user_id)
    if facts is not None:
        history.note(tx, user_id, history.AccountRemoved(), facts=facts + 1)
    return facts is not None


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


def untold(db: Database) -> list[UUID]:
    """Up to 100 staff members of whose roles others have not been told."""
    rows = db.all(
        "select distinct user_id from user_roles where not told and role <> 'PATIENT'"
        " order by user_id limit 100"
    )
    return [row["user_id"] for row in rows]


def tell(tx: Tx, user_id: UUID) -> bool:
    """Mark the roles as told of; False where that was done."""
    return (
        tx.run("update user_roles set told = true where user_id = :id and not told", id=user_id) > 0
    )


def _changed(tx: Tx, user_id: UUID, fact: Fact, assigned: str = "", **values: Any) -> int:
    """Change the row, whose version keeps the person's messages in order, and note it."""
    row = tx.one(_CHANGE.format(also=f", {assigned}" if assigned else ""), id=user_id, **values)
    if row is None:
        raise AssertionError("only a locked row is changed")
    history.note(tx, user_id, fact, facts=row["facts"])
    return int(row["version"])


def _adopt(tx: Tx, row: Row) -> None:
    user_id: UUID = row["id"]
    tx.run("update users set facts = 1 where id = :id", id=user_id)
    # Staff had no key: without the row nobody can erase them meanwhile.
    tx.keys[user_id] = vault("auth").new_subject(tx, user_id)
    known = {name: row[name] for name in ("status", "email", "first_name", "last_name", "language")}
    history.note(tx, user_id, history.HistoryBegun(roles=grants(row), **known), facts=1)


def _granted(user_id: UUID, grants: Sequence[Grant]) -> dict[str, Any]:
    return {
        "id": user_id,
        "clinics": [grant.clinic_id for grant in grants],
        "roles": [grant.role for grant in grants],
    }
