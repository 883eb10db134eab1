"""What all of xray's routes share."""

from __future__ import annotations

from datetime import date, datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from functions.xray.domain.identity import Doubt
from functions.xray.domain.limits import Reason
from functions.xray.domain.model import State, Xray
from functions.xray.domain.signatures import MediaType
from shared import audit
from shared.access import roles
from shared.http import Api, Reply
from shared.identity import Caller

__all__ = ["DESK", "Image", "api", "reply", "viewer"]

api = Api("xray", prefix="/api/xrays")

DESK = roles("DENTIST", "RECEPTIONIST")
"""Who uploads images and decides whose they are."""


class Claim(BaseModel):
    """Whose image the file says it is, and what speaks against that."""

    model_config = ConfigDict(from_attributes=True)

    patient_id: str
    name: str
    birth_date: date | None
    doubts: list[Doubt]


class Image(BaseModel):
    """An image. ``held`` and ``reason`` are for staff alone."""

    model_config = ConfigDict(from_attributes=True)

    xray_id: UUID
    patient_id: UUID
    state: State
    content_type: MediaType
    size: int
    sha256: str
    modality: str | None
    taken_at: datetime | None
    width: int | None
    height: int | None
    frames: int | None
    teeth: list[str]
    region: str | None
    note: str | None
    device: str | None
    has_preview: bool
    held: Claim | None
    reason: str | None
    refusal: Reason | None
    created_at: datetime
    expires_at: datetime | None
    """The end of the upload's URL, while the image is PENDING."""

    @classmethod
    def of(cls, image: Xray, *, staff: bool) -> Self:
        """The representation of ``image``."""
        shown = {
            name: getattr(image, name) for name in cls.model_fields if hasattr(image, name)
        } | {name: getattr(image.told, name) for name in ("teeth", "region", "note", "device")}
        return cls.model_validate(
            shown
            | {
                "held": image.claim if staff else None,
                "reason": image.reason if staff else None,
                "expires_at": image.expires_at if image.state == "PENDING" else None,
            }
        )


def reply(image: Xray, *, staff: bool = True) -> Reply[Image]:
    """``image`` with its version."""
    return Reply(Image.of(image, staff=staff), etag=image.version)


def viewer(caller: Caller) -> UUID | None:
    """The patient whose own images are all that ``caller`` may see; None: dentists see all, and so
    does an ADMIN of the group who states a purpose (X-Purpose-Of-Use), and who alone sees what is
    held of people who were erased."""
    if caller.has("DENTIST") or audit.lifted():
        return None
    return caller.id
