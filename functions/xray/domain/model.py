"""An X-ray image as the service knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from functions.xray.domain.identity import Doubt
from functions.xray.domain.signatures import DICOM, JPEG, PNG, TIFF, MediaType
from shared.errors import Conflict

__all__ = [
    "Held",
    "NotThere",
    "NotUploaded",
    "State",
    "Told",
    "Xray",
    "filename",
    "folder",
    "incoming",
    "incoming_folder",
    "original",
    "person_folder",
    "preview",
    "thumbnail",
    "xray_of",
]

State = Literal["PENDING", "REFUSED", "HELD", "STORED", "REJECTED", "ENTERED_IN_ERROR"]
"""PENDING: its upload is allowed. REFUSED: what was uploaded is not kept. HELD: its file may be
about somebody else, and staff decides: STORED, or REJECTED. ENTERED_IN_ERROR: it was STORED."""

_INCOMING, _FINAL = "incoming", "xrays"
_ENDINGS: dict[MediaType, str] = {DICOM: "dcm", PNG: "png", JPEG: "jpg", TIFF: "tif"}


class NotUploaded(Conflict):
    """Nothing has been uploaded yet: use the URL that was given first."""


class NotThere(Conflict):
    """The image is not, or no longer, a part of the record: its state says why."""


@dataclass(frozen=True)
class Told:
    """What is known of an image besides its pixels; concerns health."""

    teeth: list[str] = field(default_factory=list)
    region: str | None = None
    note: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class Held:
    """Whose image a held file says it is, and what speaks against that."""

    patient_id: str
    name: str
    birth_date: date | None
    doubts: list[Doubt]


@dataclass(frozen=True)
class Xray:
    """One image."""

    xray_id: UUID
    patient_id: UUID
    version: int
    state: State
    content_type: MediaType
    size: int
    sha256: str
    time_zone: str | None
    modality: str | None
    taken_at: datetime | None
    width: int | None
    height: int | None
    frames: int | None
    told: Told
    claim: Held | None
    reason: str | None
    refusal: str | None
    refusal_detail: str | None
    created_at: datetime
    expires_at: datetime
    has_preview: bool

    @property
    def shown(self) -> bool:
        """Is there an image to look at?"""
        return self.state in ("STORED", "ENTERED_IN_ERROR")


def incoming_folder(patient_id: UUID | None = None) -> str:
    """Where uploads arrive, of everybody or of one patient."""
    return _INCOMING if patient_id is None else f"{_INCOMING}/{patient_id}"


def incoming(patient_id: UUID, xray_id: UUID) -> str:
    """The object that an upload makes."""
    return f"{incoming_folder(patient_id)}/{xray_id}"


def person_folder(patient_id: UUID) -> str:
    """Where all images of a patient lie."""
    return f"{_FINAL}/{patient_id}"


def folder(patient_id: UUID, xray_id: UUID) -> str:
    """Where one image and its pictures lie; no upload's URL leads there."""
    return f"{person_folder(patient_id)}/{xray_id}"


def original(patient_id: UUID, xray_id: UUID) -> str:
    """The file as it was uploaded."""
    return f"{folder(patient_id, xray_id)}/original"


def preview(patient_id: UUID, xray_id: UUID) -> str:
    """The picture for a page."""
    return f"{folder(patient_id, xray_id)}/preview.png"


def thumbnail(patient_id: UUID, xray_id: UUID) -> str:
    """The picture for a list."""
    return f"{folder(patient_id, xray_id)}/thumbnail.png"


def xray_of(path: str) -> UUID | None:
    """The image whose object this is, or None."""
    for part in reversed(path.split("/")):
        try:
            return UUID(part)
        except ValueError:
            continue
    return None


def filename(xray_id: UUID, kind: MediaType) -> str:
    """What a download is called; it names nobody."""
    return f"xray-{xray_id}.{_ENDINGS[kind]}"
