"""Argon2id with OWASP's parameters (Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from shared.config import config

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = ["hash_password", "needs_rehash", "password_matches"]


@cache
def _hasher(cost: str) -> PasswordHasher:
    from argon2 import PasswordHasher

    if cost == "low":  # embedded tests only: shared/config.py refuses it elsewhere
        return PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    return PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


def hash_password(password: str) -> str:
    """The hash to store, with its parameters and salt."""
    return _hasher(config().password_cost).hash(password)


def password_matches(hashed: str | None, password: str) -> bool:
    """Is this the password? With ``hashed`` None (no account) it takes as long and says no."""
    from argon2.exceptions import InvalidHashError, VerificationError

    hasher = _hasher(config().password_cost)
    try:
        hasher.verify(hashed or _nobody(config().password_cost), password)
    except (VerificationError, InvalidHashError):
        return False
    return hashed is not None


def needs_rehash(hashed: str) -> bool:
    """Was it made with other parameters than today's?"""
    return _hasher(config().password_cost).check_needs_rehash(hashed)


@cache
def _nobody(cost: str) -> str:
    return _hasher(cost).hash("the password of nobody")
