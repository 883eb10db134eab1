"""What a service knows about one person, for auth, which puts exports together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from shared.access import services
from shared.contracts.gdpr import ERASER
from shared.crypto import Vault
from shared.db import Database
from shared.errors import Unavailable
from shared.http import Api
from shared.privacy import ExportFile, Privacy

__all__ = ["add_privacy_routes"]


def add_privacy_routes(
    api: Api, privacy: Privacy, database: Callable[[], Database], vault: Callable[[], Vault]
) -> None:
    """``{prefix}/-/people/{person_id}`` where there is personal data; auth needs none to itself."""
    if not privacy.tables or api.name == ERASER:
        return

    @api.get(
        "/-/people/{person_id}",
        access=services(ERASER),
        returns=dict[str, list[dict[str, Any]]],
        problems=[Unavailable],
    )
    def export_person(person_id: UUID) -> dict[str, list[dict[str, Any]]]:
        """Table -> the person's rows, decrypted; without rows where the person is unknown."""
        return privacy.export(database(), vault(), person_id)

    @api.get(
        "/-/people/{person_id}/files",
        access=services(ERASER),
        returns=list[ExportFile],
        problems=[Unavailable],
    )
    def export_files(person_id: UUID) -> list[ExportFile]:
        """The original files about a person, to be fetched within minutes."""
        return privacy.originals(database(), person_id)
