"""Uploading an image: announced here, sent to object storage, completed here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from functions.xray.api.base import DESK, Image, api, reply, viewer
from functions.xray.domain.limits import MAX_SIZE, ImageRefused
from functions.xray.domain.model import NotThere, NotUploaded, Told
from functions.xray.domain.signatures import MediaType
from functions.xray.service import uploads
from shared.blobs import Replaced
from shared.errors import NotFound, StaleVersion, Unavailable
from shared.http import IfMatch, Reply
from shared.identity import Caller
from shared.pages import Moment
from shared.privacy import PersonErased
from shared.teeth import Tooth
from shared.types import TimeZoneName

__all__ = ["Announced", "Upload"]


class NewXray(BaseModel):
    """The file that is going to be uploaded. What is given here goes before what the file says."""

    model_config = ConfigDict(extra="forbid")

    patient_id: UUID
    content_type: MediaType
    size: Annotated[int, Field(ge=1, le=MAX_SIZE)]
    """Bytes."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    teeth: Annotated[list[Tooth], Field(max_length=52)] = Field(default_factory=list)
    region: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    note: Annotated[str, StringConstraints(min_length=1, max_length=2000)] | None = None
    taken_at: Moment | None = None
    time_zone: TimeZoneName | None = None
    """Where a DICOM file's times are from, which seldom say so themselves."""


class Upload(BaseModel):
    """One PUT of the file to ``url``, with exactly these headers, before ``expires_at``."""

    method: Literal["PUT"] = "PUT"
    url: str
    headers: dict[str, str]
    expires_at: datetime


class Announced(BaseModel):
    """The image to be, and where to send it."""

    xray_id: UUID
    upload: Upload


@api.post(
    "",
    access=DESK,
    returns=Announced,
    status=201,
    problems=[NotFound, PersonErased, Unavailable],
)
def announce(body: NewXray) -> Reply[Announced]:
    """Announce an image: the answer says where to upload it. DICOM, PNG, JPEG or TIFF, up to
    200 MiB; what is not completed is deleted after the URL has expired."""
    image, signed = uploads.order(
        uploads.Order(
            patient_id=body.patient_id,
            content_type=body.content_type,
            size=body.size,
            sha256=body.sha256,
            time_zone=body.time_zone,
            taken_at=body.taken_at,
            told=Told(list(dict.fromkeys(body.teeth)), body.region, body.note),
        )
    )
    upload = Upload(url=signed.url, headers=dict(signed.headers), expires_at=image.expires_at)
    return Reply(
        Announced(xray_id=image.xray_id, upload=upload),
        location=f"{api.prefix}/{image.xray_id}",
        etag=image.version,
    )


@api.post(
    "/{xray_id}/complete",
    access=DESK,
    returns=Image,
    problems=[NotFound, NotUploaded, ImageRefused, Replaced, PersonErased, Unavailable],
)
def complete(xray_id: UUID, caller: Caller) -> Reply[Image]:
    """The file is uploaded: it is checked and taken into the record. Completing again, also at
    the same time, changes nothing. A DICOM file that may be about somebody else is HELD until
    staff has decided; a file that is not accepted is deleted. When the upload's URL has ended,
    only who may look at the image is answered again."""
    return reply(uploads.complete(xray_id, caller.id, looks=viewer(caller) is None))


@api.delete("/{xray_id}", access=DESK, problems=[NotFound, NotThere, StaleVersion])
def cancel(xray_id: UUID, if_match: IfMatch) -> None:
    """Give up an upload that is not completed, or was refused."""
    uploads.cancel(xray_id, if_match)
