"""The operators' view of a service's sagas, under ``{prefix}/-/sagas``."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from shared.access import GROUP, roles
from shared.errors import NotFound
from shared.http import Api
from shared.pages import Page, PageQuery
from shared.saga import Orchestrator

__all__ = ["add_saga_routes"]


class SagaFilter(PageQuery):
    """Which sagas to list, newest first."""

    status: str | None = None


def add_saga_routes(api: Api, orchestrator: Orchestrator) -> None:
    """List, show with timeline, and resume what was parked; for group-wide ADMINs."""
    admins = roles("ADMIN", clinic=GROUP)

    @api.get("/-/sagas", access=admins, returns=dict[str, Any])
    def list_sagas(query: SagaFilter) -> dict[str, Any]:
        """The sagas of this service, newest first."""
        (before,) = query.after(tuple[UUID]) or (None,)
        rows = orchestrator.list(query.status, before, query.limit + 1)
        page: Page[dict[str, Any]] = Page.of(
            rows, query.limit, lambda row: (row["id"],), lambda row: row
        )
        return page.model_dump()

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
