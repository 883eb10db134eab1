"""What a schedule triggers in patient."""

from __future__ import annotations

from datetime import timedelta

from functions.patient.service import history, registration
from shared.jobs import Jobs
from shared.runtime import database

__all__ = ["jobs"]

jobs = Jobs()


@jobs("purge", every=timedelta(hours=1))
def purge() -> int:
    """E-mail addresses of people who did not become patients."""
    return database("patient").transaction(registration.purge)


@jobs("histories", every=timedelta(hours=1))
def begin_histories() -> int:
    """Records that were made before there were histories get theirs."""
    return history.begin()
