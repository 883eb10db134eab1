"""The operators' view of a service's sagas, under ``{prefix}/-/sagas``."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.access import GROUP, roles
from shared.errors import NotFound
from shared.http import Api
from shared.saga import Orchestrator

__all__ = ["add_saga_routes"]


class SagaFilter(BaseModel):
    """Which sagas to list, newest first; ``before`` is the last id of the page before."""

    model_config = ConfigDict(extra="forbid")

    status: str | None = None
    before: UUID | None = None
    limit: int = 50


def add_saga_routes(api: Api, orchestrator: Orchestrator) -> None:
    """List, show with timeline, and resume what was parked; for group-wide ADMINs."""
    admins = roles("ADMIN", clinic=GROUP)

    @api.get("/-/sagas", access=admins, returns=dict[str, Any])
    def list_sagas(query: SagaFilter) -> dict[str, Any]:
        """The sagas of this service, newest first."""
        limit = max(1, min(query.limit, 200))
        return {"items": orchestrator.list(query.status, query.before, limit)}

    @api.get("/-/sagas/{saga_id}", access=admins, returns=dict[str, Any])
    def show_saga(saga_id: UUID) -> dict[str, Any]:
        """One saga: its steps and its timeline."""
        found = orchestrator.show(saga_id)
        if found is None:
            raise NotFound("There is no such saga.")
        return found

    @api.post("/-/sagas/{saga_id}/resume", access=admins)
    def resume_saga(saga_id: UUID) -> None:
        """Let a parked saga try again from where it stands."""
        orchestrator.resume(saga_id)
