"""What a schedule triggers in xray."""

from __future__ import annotations

from datetime import timedelta

from functions.xray.service.sweeping import sweep
from shared.jobs import Jobs

__all__ = ["jobs"]

jobs = Jobs()


@jobs("sweep-uploads", every=timedelta(minutes=10))
def sweep_uploads() -> int:
    """Uploads that were never completed, and objects that no row speaks for."""
    return sweep()
