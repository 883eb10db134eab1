"""Accounts: made by the registration saga or by an ADMIN, activated, invited, deactivated."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID, uuid4

from functions.auth import domain
from functions.auth.domain import Grant
from functions.auth.service.keys import signing_key, verification_keys
from functions.auth.store import sessions, users
from shared.clocks import clock
from shared.config import config
from shared.contracts.auth import (
    AccessRevoked,
    CreateUser,
    EmailUpdated,
    UserActivated,
    UserCreated,
    UserInvited,
    UserRemoved,
)
from shared.crypto import blind_index
from shared.db import ForeignKeyViolation, Row, Tx, UniqueViolation
from shared.errors import Conflict, Forbidden, Invalid, NotFound, StaleVersion
from shared.identity import Caller, Jwks, revoke, sign
from shared.messages import Event
from shared.passwords import hash_password
from shared.runtime import database, vault
from shared.tokens import Tokens
from shared.types import uuid7

__all__ = [
    "EmailTaken",
    "InvitationUsed",
    "NationalIdTaken",
    "accept_invitation",
    "activate_user",
    "check_password",
    "create_staff",
    "create_user",
    "deactivate",
    "end_everything",
    "first_admin",
    "invitation_link",
    "invite_again",
    "reactivate",
    "remove_user",
    "replace_roles",
    "translated",
]

_INVITATION_TYP = "invitation+jwt"


class EmailTaken(Conflict):
    """An account with this e-mail address exists."""


class NationalIdTaken(Conflict):
    """An account with this national id exists."""


class InvitationUsed(Conflict):
    """This invitation was used or replaced; ask the reception for a new one."""


class LastAdmin(Conflict):
    """The group needs one active ADMIN who is somebody else."""


def translated(error: UniqueViolation) -> Conflict:
    """The problem behind a violated unique constraint of ``users``."""
    return EmailTaken() if error.constraint == "users_email" else NationalIdTaken()


def check_password(password: str, email: str | None) -> None:
    """Raises Invalid, naming why ``password`` will not do."""
    fault = domain.password_fault(password, email)
    if fault:
        raise Invalid(
            f"Choose another password: {fault}.",
            errors=[{"pointer": "/password", "detail": fault}],
        )


def create_user(command: CreateUser, tx: Tx) -> list[Event]:
    """The first step of a registration. Raises EmailTaken, NationalIdTaken."""
    sealed = index = None
    subject = vault("auth").new_subject(tx, command.person_id)
    if command.national_id is not None:
        sealed = subject.seal("users.national_id", command.national_id)
        index = blind_index("national_id", command.national_id)
    try:
        users.insert(
            tx,
            command.person_id,
            status="PENDING",
            language=command.language,
            email=command.email,
            password_hash=command.password_hash,
            national_id=sealed,
            national_id_index=index,
        )
    except UniqueViolation as taken:
        raise translated(taken) from None
    users.set_roles(tx, command.person_id, [Grant("PATIENT")])
    return [UserCreated(person_id=command.person_id)]


def remove_user(person_id: UUID, tx: Tx) -> list[Event]:
    """Undo ``create_user``: nothing of the person stays."""
    tx.run("delete from subject_keys where subject = :id", id=person_id)
    return [UserRemoved(person_id=person_id)] if users.delete(tx, person_id) else []


def activate_user(person_id: UUID, tx: Tx) -> list[Event]:
    """Every service knows the person: let them in, or let them choose a password first."""
    row = users.lock(tx, person_id)
    if row is None or row["status"] != "PENDING":
        return []
    if row["password_hash"] is None:
        users.set_status(tx, person_id, "INVITED")
        return [UserInvited(person_id=person_id, language=row["language"])]
    users.set_status(tx, person_id, "ACTIVE")
    return [UserActivated(person_id=person_id, language=row["language"])]


def invitation_link(tx: Tx, person_id: UUID) -> str:
    """A new signed one-time link; the token stands behind ``#``, so that no server logs it."""
    now = clock().now()
    expires = now + domain.INVITATION_LIFE
    invitation = uuid4()
    sessions.insert_invitation(tx, invitation, person_id, expires)
    token = sign(
        {
            "iss": config().token_issuer,
            "aud": "dentalhelp-invitation",
            "sub": str(person_id),
            "jti": str(invitation),
            "iat": now.timestamp(),
            "exp": expires.timestamp(),
        },
        signing_key(),
        typ=_INVITATION_TYP,
    )
    return f"{config().public_url}/invitation#{token}"


def accept_invitation(token: str, password: str, email: str | None) -> None:
    """Set the first password, and the e-mail address if there is none yet.

    Raises Unauthenticated for a token that is not ours or has expired, InvitationUsed,
    EmailTaken, Invalid.
    """
    invitation, person_id = Tokens(
        config().token_issuer,
        "dentalhelp-invitation",
        Jwks.of(verification_keys),
        typ=_INVITATION_TYP,
        require=("iss", "aud", "exp", "sub", "jti"),
        build=lambda claims: (UUID(claims["jti"]), UUID(claims["sub"])),
    ).verify(token)
    check_password(password, email)
    hashed = hash_password(password)

    def work(tx: Tx) -> None:
        row = users.lock(tx, person_id)
        found = sessions.lock_invitation(tx, invitation)
        if row is None or found is None or found["used_at"] is not None:
            raise InvitationUsed
        if row["status"] != "INVITED":
            raise Conflict("This account is not waiting for a password.")
        address = row["email"] or email
        if address is None:
            raise Invalid(
                "An e-mail address is needed to log in.",
                errors=[{"pointer": "/email", "detail": "give your e-mail address"}],
            )
        check_password(password, address)
        sessions.use_invitation(tx, invitation, clock().now())
        users.set_password(tx, person_id, hashed)
        if row["email"] is None:
            version = users.set_email(tx, person_id, address)
            tx.emit(EmailUpdated(person_id=person_id, email=address), version=version)
        version = users.set_status(tx, person_id, "ACTIVE")
        tx.emit(UserActivated(person_id=person_id, language=row["language"]), version=version)

    _unique(work)


def create_staff(
    *,
    email: str,
    first_name: str,
    last_name: str,
    language: str,
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
        )
        users.set_roles(tx, person_id, held)
        tx.emit(UserCreated(person_id=person_id), version=1)
        return None if hashed else invitation_link(tx, person_id)

    signing_key()  # made before the transaction, if it is the first
    return person_id, _unique(work)


def first_admin(email: str, password: str) -> bool:
    """Make the first group-wide ADMIN; False if there is one."""
    hashed = hash_password(password)

    def work(tx: Tx) -> bool:
        tx.run("lock table user_roles in share row exclusive mode")
        if users.any_admin(tx):
            return False
        person_id = uuid7()
        users.insert(
            tx, person_id, status="ACTIVE", language="en", email=email, password_hash=hashed
        )
        users.set_roles(tx, person_id, [Grant("ADMIN")])
        tx.emit(UserCreated(person_id=person_id), version=1)
        return True

    return database("auth").transaction(work, isolation="READ COMMITTED")


def invite_again(person_id: UUID, by: Caller) -> str:
    """A new link for a person who lost theirs; the old one stops working."""
    signing_key()

    def work(tx: Tx) -> str:
        row = _existing(tx, person_id)
        staff = [grant for grant in users.grants(row) if grant.role != "PATIENT"]
        if staff:
            _may_grant(by, staff)
        if row["status"] != "INVITED":
            raise Conflict("This account is not waiting for a password.")
        users.touch(tx, person_id)
        return invitation_link(tx, person_id)

    return database("auth").transaction(work)


def deactivate(person_id: UUID, by: Caller) -> None:
    """Lock the account and end its sessions everywhere; doing it again changes nothing."""

    def work(tx: Tx) -> None:
        row = _existing(tx, person_id)
        _may_grant(by, users.grants(row))
        if row["status"] == "DEACTIVATED":
            return
        if person_id == by.id:
            raise LastAdmin("Ask another ADMIN to deactivate you.")
        users.set_status(tx, person_id, "DEACTIVATED")
        end_everything(tx, person_id)

    database("auth").transaction(work)


def reactivate(person_id: UUID, by: Caller) -> None:
    """Open a deactivated account again: ACTIVE, or INVITED if it never had a password."""

    def work(tx: Tx) -> None:
        row = _existing(tx, person_id)
        _may_grant(by, users.grants(row))
        if row["status"] == "DEACTIVATED":
            users.set_status(tx, person_id, "ACTIVE" if row["password_hash"] else "INVITED")

    database("auth").transaction(work)


def replace_roles(person_id: UUID, grants: Iterable[Grant], *, version: int, by: Caller) -> None:
    """Give a staff member these roles instead; access tokens with the old ones stop working.

    Raises StaleVersion, Forbidden, Invalid.
    """
    held = list(grants)

    def work(tx: Tx) -> None:
        row = _existing(tx, person_id)
        _may_grant(by, held)
        _may_grant(by, [grant for grant in users.grants(row) if grant.role != "PATIENT"])
        if row["version"] != version:
            raise StaleVersion
        if person_id == by.id and by.has("ADMIN") and Grant("ADMIN") not in held:
            raise LastAdmin("Ask another ADMIN to change your roles.")
        kept = [grant for grant in users.grants(row) if grant.role == "PATIENT"]
        users.set_roles(tx, person_id, [*kept, *held])
        users.touch(tx, person_id)
        _revoke_all(tx, person_id)

    _unique(work)


def end_everything(tx: Tx, person_id: UUID) -> None:
    """End all sessions of a person whose row this transaction has changed."""
    sessions.end_all(tx, person_id, clock().now())
    _revoke_all(tx, person_id)


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


def _unique(work: Callable[[Tx], Any]) -> Any:
    try:
        return database("auth").transaction(work)
    except UniqueViolation as taken:
        raise translated(taken) from None
    except ForeignKeyViolation:
        raise Invalid(
            "There is no such clinic.",
            errors=[{"pointer": "/roles", "detail": "there is no such clinic"}],
        ) from None
