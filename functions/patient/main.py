"""Deploy targets of patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.patient import api, handlers, jobs, privacy
from shared.runtime import Service

if TYPE_CHECKING:
    from flask import Request, Response

service = Service(
    "patient", api=api.api, handlers=handlers.on, jobs=jobs.jobs, privacy=privacy.privacy
)


def http(request: Request) -> Response:
    """Calls under /api/patients."""
    return service.http(request)


def events(request: Request) -> Response:
    """Pushes and the schedule."""
    return service.events(request)
