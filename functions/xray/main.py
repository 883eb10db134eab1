"""Deploy targets of xray."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.xray import api, handlers, jobs, privacy
from shared.runtime import Service

if TYPE_CHECKING:
    from flask import Request, Response

service = Service(
    "xray",
    api=api.api,
    handlers=handlers.on,
    jobs=jobs.jobs,
    privacy=privacy.privacy,
    needs=("OBJECTS_URL",),
)


def http(request: Request) -> Response:
    """Calls under /api/xrays."""
    return service.http(request)


def events(request: Request) -> Response:
    """Pushes and the schedule."""
    return service.events(request)
