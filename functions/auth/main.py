"""Deploy targets of auth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.auth import api, handlers, jobs, privacy, sagas
from functions.auth.service.keys import verification_keys
from functions.auth.store.erasures import unanswered
from functions.auth.store.history import PROJECTOR
from shared.runtime import Service

if TYPE_CHECKING:
    from flask import Request, Response

service = Service(
    "auth",
    api=api.api,
    handlers=handlers.on,
    sagas=sagas.sagas,
    jobs=jobs.jobs,
    privacy=privacy.privacy,
    needs=("OBJECTS_URL",),
    gauges=(unanswered,),
    projections=(PROJECTOR,),
    keys=verification_keys,
)


def http(request: Request) -> Response:
    """Calls under /api/auth."""
    return service.http(request)


def events(request: Request) -> Response:
    """Pushes and the schedule."""
    return service.events(request)
