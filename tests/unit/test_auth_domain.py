"""Auth's pure rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from functions.auth.domain import (
    RETRY_GRACE,
    Grant,
    clinics_claim,
    password_fault,
    refresh_verdict,
)

NOW = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "password1234",
        "Password2024!",
        "123456789012",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "passwordpassword",
        "ana.popescu@example.com",
        "ana.popescu.",
        "x" * 129,
    ],
)
def test_weak_passwords_are_refused(password: str) -> None:
    """Short, common, padded, repeated and personal passwords are refused with a reason."""
    email = "ana.popescu.@example.com" if password == "ana.popescu." else "ana.popescu@example.com"
    assert password_fault(password, email) is not None


@pytest.mark.parametrize(
    "password", ["gravel-otter-sings-4", "corectă baterie capsă", "x7#kQ9!mZ2@p"]
)
def test_good_passwords_pass(password: str) -> None:
    """Long passphrases in any language and random strings are accepted."""
    assert password_fault(password, "ana@example.com") is None


def test_the_claim_groups_roles_by_clinic() -> None:
    """A token names each clinic once with its sorted roles, the whole group as ``*``."""
    clinic = uuid4()
    grants = [Grant("DENTIST", clinic), Grant("ADMIN", clinic), Grant("PATIENT")]
    assert {"*": ["PATIENT"], str(clinic): ["ADMIN", "DENTIST"]} == clinics_claim(grants)


@pytest.mark.parametrize(
    ("used", "ended", "expired", "successor_used", "verdict"),
    [
        (None, False, False, False, "rotate"),
        (timedelta(seconds=1), False, False, False, "repeat"),
        (timedelta(seconds=1), False, False, True, "reused"),
        (RETRY_GRACE + timedelta(seconds=1), False, False, False, "reused"),
        (None, True, False, False, "expired"),
        (None, False, True, False, "expired"),
    ],
)
def test_refresh_verdicts(
    used: timedelta | None, ended: bool, expired: bool, successor_used: bool, verdict: str
) -> None:
    """Only an identical retry within seconds may use a token twice."""
    assert verdict == refresh_verdict(
        now=NOW,
        expires_at=NOW - timedelta(seconds=1) if expired else NOW + timedelta(days=1),
        used_at=None if used is None else NOW - used,
        ended_at=NOW if ended else None,
        successor_used=successor_used,
    )
