"""Deploy targets of notification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.notification import api, handlers, jobs, privacy
from shared.runtime import Service

if TYPE_CHECKING:
    from flask import Request, Response

service = Service(
    "notification",
    api=api.api,
    handlers=handlers.on,
    jobs=jobs.jobs,
    privacy=privacy.privacy,
    needs=("SMTP_URL", "MAIL_FROM"),
)


def http(request: Request) -> Response:
    """Calls under /api/notifications."""
    return service.http(request)


def events(request: Request) -> Response:
    """Pushes and the schedule."""
    return service.events(request)
