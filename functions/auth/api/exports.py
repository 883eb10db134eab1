"""Export of everything that is known about a person."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from functions.auth.api.base import GROUP_ADMINS, api
from functions.auth.service import exports
from shared.access import owner
from shared.canonical import checksum
from shared.clocks import clock
from shared.errors import NotFound, Unavailable
from shared.http import Reply
from shared.identity import Caller


class Manifest(BaseModel):
    """How to check that a part is complete and unchanged."""

    algorithm: Literal["SHA-256"] = "SHA-256"
    canonicalisation: Literal["RFC 8785"] = "RFC 8785"
    sums: dict[str, str]
    """Service -> the checksum, in hexadecimal, of its part in canonical form."""


class Export(BaseModel):
    """All personal data, readable by people and machines."""

    patient_id: UUID
    exported_at: datetime
    parts: dict[str, dict[str, list[dict[str, Any]]]]
    """Service -> table -> rows."""
    manifest: Manifest


@api.get(
    "/exports/{patient_id}",
    access=owner("patient_id") | GROUP_ADMINS,
    returns=Export,
    problems=[NotFound, Unavailable],
)
def export(patient_id: UUID, caller: Caller) -> Reply[Export]:
    """Everything that every service knows about a person, or 503 and the service that is away."""
    parts = {part.service: part.tables for part in exports.gather(patient_id, caller.id)}
    made = Export(
        patient_id=patient_id,
        exported_at=clock().now(),
        parts=parts,
        manifest=Manifest(sums={service: checksum(part) for service, part in parts.items()}),
    )
    name = f"dentalhelp-{patient_id}.json"
    return Reply(made, headers={"Content-Disposition": f'attachment; filename="{name}"'})
