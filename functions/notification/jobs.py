"""What a schedule triggers in notification."""

from __future__ import annotations

from datetime import timedelta

from functions.notification.service import sending
from functions.notification.store import deliveries, live, settled
from shared.jobs import Jobs
from shared.runtime import database

__all__ = ["jobs"]

jobs = Jobs()


@jobs("send-mail", every=timedelta(seconds=1))
def send_mail() -> int:
    """What is to be tried again, and what a process left behind that died."""
    return sending.send_due()


@jobs("refresh-inboxes", every=timedelta(seconds=1))
def refresh_inboxes() -> int:
    """Live views that a process did not live to refresh."""
    return live.refresh_stale()


@jobs("purge", every=timedelta(hours=1))
def purge() -> int:
    """E-mails that were settled long ago, and what nothing was heard of for long."""
    return database("notification").transaction(lambda tx: deliveries.purge(tx) + settled.purge(tx))
