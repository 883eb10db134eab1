"""Staff: made by an ADMIN, given roles, deactivated; and the group's first ADMIN."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from functions.auth import domain
from functions.auth.domain import Grant
from functions.auth.service import history
from functions.auth.service.accounts import check_password, invitation_link, unique
from functions.auth.service.keys import signing_key
from functions.auth.store import erasures, sessions, users
from functions.auth.store.history import Deactivated, Reactivated
from shared.audit import record
from shared.clocks import clock
from shared.contracts.auth import (
    AccessRevoked,
    HeldRole,
    RolesChanged,
    UserCreated,
    UserInvited,
)
from shared.db import Row, Tx
from shared.errors import Conflict, Forbidden, NotFound, StaleVersion
from shared.identity import Caller, SigningKey, revoke
from shared.passwords import hash_password
from shared.runtime import database
from shared.types import Language, uuid7

__all__ = [
    "LastAdmin",
    "close_account",
    "create_staff",
    "deactivate",
    "first_admin",
    "invite_again",
    "reactivate",
    "replace_roles",
    "tell_untold",
]


class LastAdmin(Conflict):
    """The group needs one active ADMIN who is somebody else."""


def create_staff(
    *,
    email: str,
    first_name: str,
    last_name: str,
    language: Language,
    grants: Iterable[Grant],
    password: str | None,
    by: Caller,
) -> tuple[UUID, str | None]:
    """A staff account: its id, and an invitation link when no password was given."""
    held = list(grants)
    _may_grant(by, held)
    if password is not None:
        check_password(password, email)
    hashed = hash_password(password) if password is not None else None
    person_id = uuid7()

    def work(tx: Tx) -> str | None:
        status: domain.Status = "ACTIVE" if hashed else "INVITED"
        users.insert(
            tx,
            person_id,
            status=status,
            language=language,
            email=email,
            password_hash=hashed,
            first_name=first_name,
            last_name=last_name,
            grants=held,
        )
        record(tx, person_id, "create", "account")
        tx.emit(UserCreated(person_id=person_id), version=1)
        _tell_roles(tx, person_id, held, version=1)
        return None if hashed else _invite(tx, person_id, language, key, version=1)

    key = signing_key()
    return person_id, unique(work)


def first_admin(email: str, password: str) -> bool:
    """Make the first group-wide ADMIN; False if there is one."""
    hashed = hash_password(password)

    def work(tx: Tx) -> bool:
        if users.any_admin(tx):
            return False
        person_id = uuid7()
        users.insert(
            tx,
            person_id,
            status="ACTIVE",
            language="en",
            email=email,
            password_hash=hashed,
            grants=[Grant("ADMIN")],
        )
        record(tx, person_id, "create", "account")
        tx.emit(UserCreated(person_id=person_id), version=1)
        _tell_roles(tx, person_id, [Grant("ADMIN")], version=1)
        return True

    return database("auth").transaction(work, isolation="READ COMMITTED")


def invite_again(person_id: UUID, by: Caller) -> str:
    """A new link for a person who lost theirs; the old one stops working."""
    key = signing_key()

    def work(tx: Tx) -> str:
        row = _existing(tx, person_id)
        staff = [grant for grant in users.grants(row) if grant.role != "PATIENT"]
        if staff:
            _may_grant(by, staff)
        if row["status"] != "INVITED":
            raise Conflict("This account is not waiting for a password.")
        version = users.touch(tx, person_id)
        record(tx, person_id, "write", "invitation")
        return _invite(tx, person_id, row["language"], key, version=version)

    return database("auth").transaction(work)


def deactivate(person_id: UUID, by: Caller) -> None:
    """Lock the account and end its sessions everywhere; doing it again changes nothing.

    Raises NotFound, Forbidden, LastAdmin; Conflict while the person is being registered.
    """

    def work(tx: Tx) -> None:
        admins = users.active_admins(tx)
        row = _existing(tx, person_id)
        _may_grant(by, users.grants(row))
        if row["status"] == "DEACTIVATED":
            return
        if row["status"] == "PENDING":
            # Its saga decides; reactivated, it would be open before there is a profile.
            raise Conflict("This registration is still under way.")
        if person_id == by.id:
            raise LastAdmin("Ask another ADMIN to deactivate you.")
        if admins == [person_id]:
            raise LastAdmin
        close_account(tx, row)
        history.follow(tx)
        record(tx, person_id, "write", "status")

    database("auth").transaction(work)


def reactivate(person_id: UUID, by: Caller) -> None:
    """Open a deactivated account again: ACTIVE, or INVITED if it never had a password.

    Raises NotFound, Forbidden; Conflict where the person is about to be erased.
    """

    def work(tx: Tx) -> None:
        row = _existing(tx, person_id)
        _may_grant(by, users.grants(row))
        if row["status"] == "DEACTIVATED":
            if erasures.by_person(tx, person_id):
                raise Conflict("This person is being erased.")
            status: domain.Status = "ACTIVE" if row["password_hash"] else "INVITED"
            version = users.set_status(tx, person_id, Reactivated(status=status))
            _tell_roles(tx, person_id, users.grants(row), version=version)
            history.follow(tx)
            record(tx, person_id, "write", "status")

    database("auth").transaction(work)


def replace_roles(person_id: UUID, grants: Iterable[Grant], *, version: int, by: Caller) -> None:
    """Give a staff member these roles instead; access tokens with the old ones stop working.

    Raises NotFound, StaleVersion, Forbidden, LastAdmin, Invalid.
    """
    held = list(grants)

    def work(tx: Tx) -> None:
        admins = users.active_admins(tx)
        row = _existing(tx, person_id)
        _may_grant(by, held)
        _may_grant(by, [grant for grant in users.grants(row) if grant.role != "PATIENT"])
        if row["version"] != version:
            raise StaleVersion
        if person_id == by.id and by.has("ADMIN") and Grant("ADMIN") not in held:
            raise LastAdmin("Ask another ADMIN to change your roles.")
        if admins == [person_id] and Grant("ADMIN") not in held:
            raise LastAdmin
        kept = [grant for grant in users.grants(row) if grant.role == "PATIENT"]
        new = users.set_roles(tx, person_id, [*kept, *held])
        _tell_roles(tx, person_id, held, version=new, closed=row["status"] == "DEACTIVATED")
        history.follow(tx)
        record(tx, person_id, "write", "roles")
        _revoke_all(tx, person_id)

    unique(work)


def close_account(tx: Tx, row: Row) -> None:
    """Deactivate the account of ``row``, which is locked, and end all its sessions."""
    person_id = row["id"]
    version = users.set_status(tx, person_id, Deactivated())
    _tell_roles(tx, person_id, users.grants(row), version=version, closed=True)
    sessions.end_all(tx, person_id, clock().now())
    _revoke_all(tx, person_id)


def tell_untold() -> int:
    """Tell others the roles of staff who were made before anybody was told of one; how many."""
    told = 0
    for person_id in users.untold(database("auth")):

        def work(tx: Tx, person_id: UUID = person_id) -> bool:
            # READ COMMITTED, and the row is changed: whoever waits for it publishes after us.
            row = users.claim(tx, person_id)
            if row is None or not users.tell(tx, person_id):
                return False
            closed = row["status"] == "DEACTIVATED"
            _tell_roles(tx, person_id, users.grants(row), version=row["version"], closed=closed)
            return True

        told += database("auth").transaction(work, isolation="READ COMMITTED")
    return told


def _tell_roles(
    tx: Tx, person_id: UUID, grants: Iterable[Grant], *, version: int, closed: bool = False
) -> None:
    """What a staff member whose row ``tx`` has made or changed may do now."""
    held = [
        HeldRole(role=grant.role, clinic_id=grant.clinic_id)
        for grant in grants
        if grant.role != "PATIENT"
    ]
    if held:
        event = RolesChanged(person_id=person_id, roles=[] if closed else held)
        tx.emit(event, version=version)


def _invite(tx: Tx, person_id: UUID, language: Language, key: SigningKey, *, version: int) -> str:
    """A new link, which the person is also sent where there is an address."""
    link = invitation_link(tx, person_id, key)
    event = UserInvited(person_id=person_id, language=language, link=link)
    tx.emit(event, version=version)
    return link


def _revoke_all(tx: Tx, person_id: UUID) -> None:
    now = clock().now()
    revoke(tx, person_id, None, now)
    tx.emit(AccessRevoked(person_id=person_id, revoked_at=now))


def _existing(tx: Tx, person_id: UUID) -> Row:
    row = users.lock(tx, person_id)
    if row is None:
        raise NotFound("There is no such account.")
    return row


def _may_grant(by: Caller, grants: Iterable[Grant]) -> None:
    """An ADMIN of a clinic rules that clinic's staff; a group-wide ADMIN everybody."""
    if by.has("ADMIN", "*"):
        return
    if not all(grant.clinic_id and by.has("ADMIN", grant.clinic_id) for grant in grants):
        raise Forbidden("You administer other clinics than this account belongs to.")
