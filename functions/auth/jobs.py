"""What a schedule triggers in auth."""

from __future__ import annotations

from datetime import timedelta

from functions.auth.service import archives, clinics, erasures, history, keys, staff, validation
from shared.jobs import Jobs

__all__ = ["jobs"]

jobs = Jobs()


@jobs("rotate-keys", every=timedelta(hours=1))
def rotate_keys() -> int:
    """The next signing key, when the newest is old."""
    return keys.rotate()


@jobs("purge", every=timedelta(hours=1))
def purge() -> int:
    """Tokens, sessions, attempts and keys that can matter no more."""
    return keys.purge()


@jobs("erasures", every=timedelta(seconds=1))
def tend_erasures() -> int:
    """Erasures that somebody left behind: requests, late answers, receipts."""
    return erasures.tend()


@jobs("exports", every=timedelta(seconds=1))
def make_exports() -> int:
    """The next archive that somebody asked for."""
    return archives.make_next()


@jobs("sweep-exports", every=timedelta(hours=1))
def sweep_exports() -> int:
    """Archives that were kept for long enough."""
    return archives.sweep()


@jobs("validate-people", every=timedelta(days=1))
def validate_people() -> int:
    """Whether all services agree on who there is."""
    return validation.validate()


@jobs("histories", every=timedelta(hours=1))
def begin_histories() -> int:
    """Accounts that were made before there were histories get theirs."""
    return history.begin()


@jobs("tell", every=timedelta(minutes=1))
def tell() -> int:
    """Clinics and staff that were made before others kept replicas of them."""
    return clinics.tell_untold() + staff.tell_untold()
