"""The past of the X-rays: rows, and for each image its own objects. What they show are a few drawn
teeth, looked at by the service's own code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from io import BytesIO
from typing import Literal, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from functions.xray.domain import description, dicom_file, model, rendering, signatures
from functions.xray.domain.model import Told
from functions.xray.domain.signatures import DICOM, JPEG, PNG, TIFF, MediaType
from functions.xray.service.uploads import GOOD_FOR
from functions.xray.store.xrays import File
from infra import images
from infra.seed.bulk import Batch, Patient
from infra.seed.mouth import Picture
from shared.blobs import objects

__all__ = ["collect", "xray_id"]

_TOLD = TypeAdapter(Told)
_APPROVED = "Without a patient's name: taken at the chair."


_FILES: tuple[Callable[[], tuple[MediaType, bytes]], ...] = (
    lambda: (JPEG, images.raster("JPEG")),
    lambda: (PNG, images.raster("PNG")),
    lambda: (TIFF, images.raster("TIFF", compression="tiff_lzw")),
    lambda: (DICOM, images.dicom(teeth=())),
)


class Film(NamedTuple):
    """A file, its pictures, and what the file says of itself."""

    kind: MediaType
    parts: tuple[tuple[str, bytes, str], ...]
    """What it is (original, preview, thumbnail), its bytes, their SHA-256."""
    said: description.Description


def xray_id(who: Patient, picture: Picture) -> UUID:
    """Of an image."""
    return who.id("xray", picture.turn, picture.at)


def collect(batch: Batch, people: Sequence[Patient]) -> None:
    """What is missing of these people's images. Objects come first: a row never names one that is
    not there, and what was placed for a row that did not come is replaced in the next run."""
    taken = {
        xray_id(who, picture): (who, picture) for who in people for picture in who.mouth.pictures
    }
    for who, picture in batch.missing("xrays", "xray_id", taken):
        _xray(batch, who, picture)


@cache
def _film(number: int) -> Film:
    kind, original = _FILES[number]()
    file = BytesIO(original)
    signatures.check(file, len(original), kind)
    preview = rendering.picture(file, len(original), kind)
    if kind == DICOM:
        said = description.describe(dicom_file.read(file, len(original)), None)
    else:
        said = description.Description(*rendering.measured(file))
    parts = (
        ("original", original),
        ("preview", preview),
        ("thumbnail", rendering.thumbnail(preview)),
    )
    return Film(
        kind, tuple((name, part, hashlib.sha256(part).hexdigest()) for name, part in parts), said
    )


def _xray(batch: Batch, who: Patient, picture: Picture) -> None:
    film, key, identity = _film(picture.file), batch.key(who), xray_id(who, picture)
    # A file that claims to be about nobody is held, and approved by whoever took it.
    held = film.said.claim is not None
    made, recorded = picture.at, picture.at + timedelta(minutes=1)
    teeth = [picture.tooth] if picture.tooth else []
    region = film.said.region if picture.tooth else "JAW"
    told = Told(teeth, region, None, film.said.device)
    _, original, digest = film.parts[0]
    batch.add(
        "xrays",
        xray_id=identity,
        patient_id=who.patient_id,
        version=3 if held else 2,
        state="STORED",
        content_type=film.kind,
        size=len(original),
        sha256=digest,
        modality=film.said.modality,
        taken_at=picture.at,
        width=film.said.width,
        height=film.said.height,
        frames=film.said.frames,
        told=key.seal("told", _TOLD.dump_json(told).decode()),
        reason=key.seal("reason", _APPROVED if held else None),
        created_at=made,
        expires_at=made + GOOD_FOR,
        recorded_at=recorded,
    )
    for file, data in _place(who, identity, film):
        with objects().write(file.path, content_type=file.content_type) as writer:
            writer.write(data)
        batch.add(
            "xray_files",
            xray_id=identity,
            kind=file.kind,
            patient_id=who.patient_id,
            path=file.path,
            content_type=file.content_type,
            size=file.size,
            sha256=file.sha256,
            recorded_at=recorded,
        )
    batch.note(who, "create", "xray upload", "xray")
    if held:
        batch.note(who, "write", "xray stored")


def _place(who: Patient, identity: UUID, film: Film) -> list[tuple[File, bytes]]:
    original, preview, thumbnail = film.parts
    folder = (who.patient_id, identity)
    return [
        (_file("original", model.original(*folder), film.kind, original), original[1]),
        (_file("preview", model.preview(*folder), PNG, preview), preview[1]),
        (_file("thumbnail", model.thumbnail(*folder), PNG, thumbnail), thumbnail[1]),
    ]


def _file(
    kind: Literal["original", "preview", "thumbnail"],
    path: str,
    content_type: MediaType,
    part: tuple[str, bytes, str],
) -> File:
    return File(kind, path, content_type, len(part[1]), part[2])
