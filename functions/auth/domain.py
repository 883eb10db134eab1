"""Auth's rules: roles, passwords, lifetimes. Pure."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal
from uuid import UUID

__all__ = [
    "ACCESS_LIFE",
    "ACCOUNT_LIMIT",
    "ADDRESS_LIMIT",
    "ANSWER_WITHIN",
    "ASKINGS",
    "BACKUPS_KEPT",
    "CONTINUE_AFTER",
    "EXPORT_KEPT",
    "EXPORT_LINK",
    "EXPORT_REMEMBERED",
    "EXPORT_TRIES",
    "INVITATION_LIFE",
    "KEY_LEAD",
    "KEY_LIFE",
    "REFRESH_LIFE",
    "RETRY_GRACE",
    "SESSION_LIFE",
    "THROTTLE_WINDOW",
    "ErasureStatus",
    "Grant",
    "PartState",
    "Role",
    "Status",
    "ask_again_after",
    "clinics_claim",
    "continue_after",
    "erasure_status",
    "password_fault",
    "refresh_verdict",
]

Role = Literal["PATIENT", "RECEPTIONIST", "DENTIST", "ADMIN"]
Status = Literal["PENDING", "INVITED", "ACTIVE", "DEACTIVATED"]
ErasureStatus = Literal["RUNNING", "COMPLETED", "HELD", "FAILED"]
PartState = Literal["PENDING", "ERASED", "HELD", "FAILED"]

ACCESS_LIFE = timedelta(minutes=10)
REFRESH_LIFE = timedelta(days=14)
SESSION_LIFE = timedelta(days=90)
RETRY_GRACE = timedelta(seconds=10)
INVITATION_LIFE = timedelta(days=14)
# A new key is published this long before it signs, so that every cache of the key set has it.
KEY_LEAD = timedelta(minutes=15)
KEY_LIFE = timedelta(days=30)

THROTTLE_WINDOW = timedelta(minutes=15)
ACCOUNT_LIMIT = 10
ADDRESS_LIMIT = 300  # a whole clinic may stand behind one address

# A requested erasure goes on by itself after this; whoever asked does it at once, as a rule.
CONTINUE_AFTER = timedelta(seconds=2)
ANSWER_WITHIN = timedelta(seconds=60)
ASKINGS = 20
BACKUPS_KEPT = timedelta(days=30)
EXPORT_KEPT = timedelta(days=7)
EXPORT_LINK = timedelta(minutes=5)
EXPORT_REMEMBERED = timedelta(days=30)
EXPORT_TRIES = 5
_LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True)
class Grant:
    """A role in one clinic, or for the whole group (``clinic_id`` None)."""

    role: Role
    clinic_id: UUID | None = None


def clinics_claim(grants: Iterable[Grant]) -> Mapping[str, list[str]]:
    """The token's ``clinics`` claim: clinic id or ``*`` -> sorted roles."""
    found: dict[str, set[str]] = {}
    for grant in grants:
        found.setdefault("*" if grant.clinic_id is None else str(grant.clinic_id), set()).add(
            grant.role
        )
    return {place: sorted(roles) for place, roles in found.items()}


def password_fault(password: str, email: str | None) -> str | None:
    """Why ``password`` will not do, or None (OWASP ASVS 5.0, 6.2: length, breach list, context).

    Common means: on the bundled list as it is, without its digits and signs, or as a repetition.
    """
    plain = password.casefold()
    local = email.casefold().partition("@")[0] if email else None
    core = re.sub(r"[\W\d_]+", "", plain)
    unit = re.fullmatch(r"(.+?)\1+", plain)
    common = _common()
    faults = (
        (len(password) < 12, "at least 12 characters are needed"),
        (len(password) > 128, "at most 128 characters are allowed"),
        (email and plain in (email.casefold(), local), "it must not be the e-mail address"),
        (plain in common, "it is one of the most common passwords"),
        (unit and (unit[1] in common or len(unit[1]) < 5), "it repeats something simple"),
        (
            core in common and len(plain) - len(core) <= 6,
            "it is one of the most common passwords with something added",
        ),
        (plain.isdigit() or len(set(plain)) < 5, "it is too simple"),
    )
    return next((text for bad, text in faults if bad), None)


@cache
def _common() -> frozenset[str]:
    """20,000 common passwords (Royce Williams' list, as Django ships it)."""
    path = Path(__file__).with_name("common-passwords.txt.gz")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return frozenset(line.strip() for line in lines)


def refresh_verdict(
    *,
    now: datetime,
    expires_at: datetime,
    used_at: datetime | None,
    ended_at: datetime | None,
    successor_used: bool,
) -> Literal["rotate", "repeat", "expired", "reused"]:
    """What to do with a refresh token that exists.

    ``repeat``: the same request again within seconds, because its answer was lost; it gets the
    same answer. Any other second use means that somebody else has the token: ``reused``.
    """
    if ended_at is not None or now >= expires_at:
        return "expired"
    if used_at is None:
        return "rotate"
    if now - used_at <= RETRY_GRACE and not successor_used:
        return "repeat"
    return "reused"


def erasure_status(parts: Iterable[PartState]) -> ErasureStatus:
    """What the states of an erasure's services come to."""
    states = set(parts)
    if "PENDING" in states:
        return "RUNNING"
    if "FAILED" in states:
        return "FAILED"
    return "HELD" if "HELD" in states else "COMPLETED"


def ask_again_after(askings: int) -> timedelta:
    """How long a service has that was asked ``askings`` (1, 2, ...) times: each time twice as
    long, at most an hour."""
    return min(ANSWER_WITHIN * (1 << min(askings - 1, 10)), _LONGEST_PAUSE)


def continue_after(tries: int) -> timedelta:
    """The pause after that many failed tries to write an erasure into the ledger."""
    return min(CONTINUE_AFTER * (1 << min(tries, 10)), timedelta(minutes=5))
