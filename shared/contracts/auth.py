"""What auth publishes and accepts."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.messages import Command, Event, personal
from shared.types import Language

__all__ = [
    "AccessRevoked",
    "ActivateUser",
    "ClinicUpdated",
    "CreateUser",
    "EmailUpdated",
    "HeldRole",
    "PasswordChanged",
    "RemoveUser",
    "RolesChanged",
    "UserActivated",
    "UserCreated",
    "UserInvited",
    "UserRemoved",
]


class _Person(Event):
    """About one person; ``person_id`` is a patient's ``patient_id`` too."""

    key: ClassVar[str] = "person_id"

    person_id: UUID


class UserCreated(_Person):
    """An account exists, not usable yet."""


class UserInvited(_Person):
    """An account exists and waits for its person to set a password."""

    notify: ClassVar[bool] = True

    language: Language = "en"
    link: str | None = personal(default=None)
    """The one-time link by which that is done; None where a saga sends it (``SendInvitation``)."""


class UserActivated(_Person):
    """The account can be used."""

    notify: ClassVar[bool] = True

    language: Language = "en"


class UserRemoved(_Person):
    """The account is gone: its registration failed."""


class EmailUpdated(_Person):
    """The person's e-mail address is now this one, as of the aggregate version in the metadata."""

    notify: ClassVar[bool] = True

    email: str = personal()
    previous: str | None = personal(default=None)
    """The address until now, which is warned too; None where there was none."""


class PasswordChanged(_Person):
    """The person has a new password; every other session has ended."""

    notify: ClassVar[bool] = True


class HeldRole(BaseModel):
    """A role in one clinic, or for the whole group (``clinic_id`` None)."""

    model_config = ConfigDict(frozen=True)

    role: Literal["RECEPTIONIST", "DENTIST", "ADMIN"]
    clinic_id: UUID | None = None


class RolesChanged(_Person):
    """A staff member holds these roles now, as of the account's version in the metadata; none
    while the account is deactivated. Patients are not told of."""

    roles: list[HeldRole]


class ClinicUpdated(Event):
    """A clinic is now like this, new or changed, as of its version in the metadata."""

    key: ClassVar[str] = "clinic_id"

    clinic_id: UUID
    name: str
    time_zone: str
    """IANA: the time on the clinic's wall."""
    languages: list[Language]


class AccessRevoked(_Person):
    """Tokens issued until ``revoked_at`` are void: one session's, or all of the person's."""

    # Whoever was erased must not go on with a token from before.
    reaches_the_erased: ClassVar[bool] = True

    session_id: UUID | None = None
    revoked_at: datetime


class CreateUser(Command):
    """Make the account of a registration; handled within auth, in the same transaction."""

    key: ClassVar[str] = "person_id"

    person_id: UUID
    email: str | None = personal(default=None)
    password_hash: str | None = personal(default=None)
    national_id: str | None = personal(default=None)
    language: Language = "en"


class RemoveUser(Command):
    """Undo ``CreateUser``."""

    key: ClassVar[str] = "person_id"
    person_id: UUID


class ActivateUser(Command):
    """Let the person in: every service knows them now."""

    key: ClassVar[str] = "person_id"
    person_id: UUID
