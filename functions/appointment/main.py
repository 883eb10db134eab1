"""Deploy targets of appointment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.appointment import api, handlers, jobs, privacy
from shared.runtime import Service

if TYPE_CHECKING:
    from flask import Request, Response

service = Service(
    "appointment",
    api=api.api,
    handlers=handlers.on,
    jobs=jobs.jobs,
    privacy=privacy.privacy,
)


def http(request: Request) -> Response:
    """Calls under /api/appointments."""
    return service.http(request)


def events(request: Request) -> Response:
    """Pushes and the schedule."""
    return service.events(request)
