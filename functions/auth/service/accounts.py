"""Patients' accounts: made and activated by the registration saga, invited, accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid4

from functions.auth import domain
from functions.auth.domain import Grant
from functions.auth.service.keys import verification_keys
from functions.auth.store import sessions, users
from functions.auth.store.history import Activated, Invited
from shared.audit import acting, record
from shared.clocks import clock
from shared.config import config
from shared.contracts.auth import (
    CreateUser,
    EmailUpdated,
    UserActivated,
    UserCreated,
    UserInvited,
    UserRemoved,
)
from shared.crypto import blind_index, shred
from shared.db import ForeignKeyViolation, Tx, UniqueViolation
from shared.errors import Conflict, Invalid
from shared.identity import Caller, Jwks, SigningKey, sign
from shared.messages import Event
from shared.passwords import hash_password
from shared.runtime import database, vault
from shared.tokens import Tokens

__all__ = [
    "EmailTaken",
    "Invitation",
    "InvitationUsed",
    "NationalIdTaken",
    "accept_invitation",
    "activate_user",
    "check_password",
    "create_user",
    "follow_national_id",
    "invitation_link",
    "keep_invitation",
    "new_invitation",
    "remove_user",
    "translated",
    "unique",
]

T = TypeVar("T")
_INVITATION_TYP = "invitation+jwt"


class EmailTaken(Conflict):
    """An account with this e-mail address exists."""


class NationalIdTaken(Conflict):
    """An account with this national id exists."""


class InvitationUsed(Conflict):
    """This invitation was used or replaced; ask the reception for a new one."""


def translated(error: UniqueViolation) -> Conflict:
    """The problem behind a violated unique constraint of ``users``."""
    return EmailTaken() if error.constraint == "users_email" else NationalIdTaken()


def check_password(password: str, email: str | None, *, field: str = "password") -> None:
    """Raises Invalid, naming why ``password`` will not do."""
    fault = domain.password_fault(password, email)
    if fault:
        raise Invalid(
            f"Choose another password: {fault}.",
            errors=[{"pointer": f"/{field}", "detail": fault}],
        )


def create_user(command: CreateUser, tx: Tx) -> list[Event]:
    """The first step of a registration. Raises EmailTaken, NationalIdTaken."""
    sealed = index = None
    subject = tx.keys[command.person_id] = vault("auth").new_subject(tx, command.person_id)
    if command.national_id is not None:
        sealed = subject.seal("users.national_id", command.national_id)
        index = blind_index("national_id", command.national_id)
    try:
        users.insert(
            tx,
            command.person_id,
            status="PENDING",
            language=command.language,
            grants=[Grant("PATIENT")],
            email=command.email,
            password_hash=command.password_hash,
            national_id=sealed,
            national_id_index=index,
        )
    except UniqueViolation as taken:
        raise translated(taken) from None
    record(tx, command.person_id, "create", "account")
    return [UserCreated(person_id=command.person_id)]


def follow_national_id(person_id: UUID, number: str | None, version: int, tx: Tx) -> None:
    """The national id as patient's ``version`` has it; an older one changes nothing.

    Raises NationalIdTaken while another account has it. That may pass (its own correction or the
    end of its registration is on the way), so the message comes again; if it does not pass, the
    message ends among the dead letters and a person must find out who is who.
    """
    row = users.lock(tx, person_id)
    if row is None or row["national_id_version"] >= version:
        return
    subject = vault("auth").new_subject(tx, person_id)
    try:
        users.set_national_id(
            tx,
            person_id,
            sealed=subject.seal("users.national_id", number),
            index=None if number is None else blind_index("national_id", number),
            version=version,
        )
    except UniqueViolation:
        raise NationalIdTaken from None
    record(tx, person_id, "write", "national id")


def remove_user(person_id: UUID, tx: Tx) -> list[Event]:
    """Undo ``create_user``: nothing of the person stays."""
    shred(tx, person_id)
    if not users.delete(tx, person_id):
        return []
    record(tx, person_id, "erase", "account")
    return [UserRemoved(person_id=person_id)]


def activate_user(person_id: UUID, tx: Tx) -> list[Event]:
    """Every service knows the person: let them in, or let them choose a password first."""
    row = users.lock(tx, person_id)
    if row is None or row["status"] != "PENDING":
        return []
    record(tx, person_id, "write", "account")
    if row["password_hash"] is None:
        users.set_status(tx, person_id, Invited())
        return [UserInvited(person_id=person_id, language=row["language"])]
    users.set_status(tx, person_id, Activated())
    return [UserActivated(person_id=person_id, language=row["language"])]


@dataclass(frozen=True)
class Invitation:
    """A one-time link by which a person sets the first password."""

    id: UUID
    person_id: UUID
    expires_at: datetime
    link: str


def new_invitation(person_id: UUID, key: SigningKey) -> Invitation:
    """A link signed by ``key``; it works once ``keep_invitation`` has committed. The token stands
    behind ``#``, so that no server logs it."""
    now = clock().now()
    expires = now + domain.INVITATION_LIFE
    invitation = uuid4()
    token = sign(
        {
            "iss": config().token_issuer,
            "aud": "dentalhelp-invitation",
            "sub": str(person_id),
            "jti": str(invitation),
            "iat": now.timestamp(),
            "exp": expires.timestamp(),
        },
        key,
        typ=_INVITATION_TYP,
    )
    link = f"{config().public_url}/invitation#{token}"
    return Invitation(invitation, person_id, expires, link)


def keep_invitation(tx: Tx, invitation: Invitation) -> None:
    """Let the link work for the person, whose account exists."""
    sessions.insert_invitation(tx, invitation.id, invitation.person_id, invitation.expires_at)


def invitation_link(tx: Tx, person_id: UUID, key: SigningKey) -> str:
    """A new link for an account; ``key`` was looked up before the transaction began."""
    invitation = new_invitation(person_id, key)
    keep_invitation(tx, invitation)
    return invitation.link


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
        record(tx, person_id, "write", "account")
        version = users.set_status(tx, person_id, Activated())
        tx.emit(UserActivated(person_id=person_id, language=row["language"]), version=version)

    # Nobody is signed in: the token says who this is.
    with acting(Caller("person", person_id)):
        unique(work)


def unique(work: Callable[[Tx], T]) -> T:
    """Run ``work``, with violated constraints as problems: EmailTaken, NationalIdTaken, Invalid."""
    try:
        return database("auth").transaction(work)
    except UniqueViolation as taken:
        raise translated(taken) from None
    except ForeignKeyViolation:
        raise Invalid(
            "There is no such clinic.",
            errors=[{"pointer": "/roles", "detail": "there is no such clinic"}],
        ) from None
