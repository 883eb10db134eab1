"""Deploy targets of dental_records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.dental_records import api, handlers, privacy
from functions.dental_records.store.projection import PROJECTOR
from shared.runtime import Service

if TYPE_CHECKING:
    from flask import Request, Response

service = Service(
    "dental_records",
    api=api.api,
    handlers=handlers.on,
    privacy=privacy.privacy,
    projections=(PROJECTOR,),
)


def http(request: Request) -> Response:
    """Calls under /api/dental-records."""
    return service.http(request)


def events(request: Request) -> Response:
    """Pushes and the schedule."""
    return service.events(request)
