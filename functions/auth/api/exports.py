"""Export of everything that is known about a person."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from functions.auth.api.base import GROUP_ADMINS, Body, api
from functions.auth.service import archives, exports
from shared.access import anyone, owner
from shared.canonical import checksum
from shared.clocks import clock
from shared.errors import Conflict, NotFound, Unavailable
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


class Order(Body):
    """Of whom an archive is to be made."""

    patient_id: UUID


class Ordered(BaseModel):
    """What follows the archive that is being made."""

    export_id: UUID


class Archive(BaseModel):
    """How far an archive is; READY, it can be fetched by ``url`` for some minutes."""

    export_id: UUID
    patient_id: UUID
    state: Literal["QUEUED", "RUNNING", "READY", "FAILED", "EXPIRED"]
    requested_at: datetime
    files_done: int
    files_all: int | None
    """None: nobody has counted yet."""
    bytes_done: int
    bytes_all: int | None
    """Of the original files."""
    failure: str | None
    """Of the last try, which is repeated unless the state is FAILED."""
    size: int | None
    """Of the archive, in bytes."""
    expires_at: datetime | None
    """When it is deleted."""
    url: str | None


@api.post(
    "/exports",
    access=owner("patient_id") | GROUP_ADMINS,
    returns=Ordered,
    status=202,
    problems=[NotFound, Conflict],
)
def order_archive(body: Order, caller: Caller) -> Reply[Ordered]:
    """Have an archive made of all that is known about a person: a ZIP with JSON of each service,
    the original files, and a manifest. Asked for again, or at once, until it is made it is the
    same one. 409 for somebody who was erased."""
    export_id = archives.request(body.patient_id, caller)
    return Reply(Ordered(export_id=export_id), location=f"{api.prefix}/exports/jobs/{export_id}")


@api.get(
    "/exports/jobs/{export_id}", access=anyone(), returns=Archive, problems=[NotFound, Unavailable]
)
def follow_archive(export_id: UUID, caller: Caller) -> Archive:
    """How far it is, for the person and ADMINs of the group; 404 for all others. Each link is on
    record."""
    return Archive.model_validate(archives.show(export_id, caller))


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
