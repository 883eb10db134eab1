"""Looking at what was uploaded: is it the image it was said to be, and whose?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from functions.xray.domain import description, dicom_file, rendering, signatures
from functions.xray.domain.identity import Identity, doubts
from functions.xray.domain.limits import NoPreview, refuse
from functions.xray.domain.model import Held, Told, Xray
from shared.blobs import Stat, objects
from shared.client import client
from shared.errors import Unavailable

__all__ = ["Checked", "check"]

_CHUNK = 1 << 20
_identity = TypeAdapter(Identity)


@dataclass(frozen=True)
class Checked:
    """An upload that may be kept."""

    xray: Xray
    """With what was found in it, and its next state: STORED or HELD."""
    stat: Stat
    """Which version of the upload was looked at."""
    preview: bytes | None


def check(path: str, stat: Stat, expected: Xray, caller: UUID | None) -> Checked:
    """Look at one version of an upload, in parts. Raises ImageRefused, Replaced, Unavailable."""
    if stat.size != expected.size:
        refuse("SIZE", f"The upload has {stat.size} bytes; {expected.size} were announced.")
    if _digest(path, stat) != expected.sha256:
        refuse("CHECKSUM", "The upload is not the file that was announced: its SHA-256 differs.")
    kind = expected.content_type
    with objects().open(path, stat) as file:
        signatures.check(file, stat.size, kind)
        try:
            preview = rendering.picture(file, stat.size, kind)
        except NoPreview:
            preview = None
        if kind != signatures.DICOM:
            width, height, frames = rendering.measured(file)
            found = description.Description(width, height, frames)
        else:
            found = description.describe(dicom_file.read(file, stat.size), expected.time_zone)
    claim = _doubted(found.claim, expected.patient_id, caller)
    return Checked(_with(expected, found, claim), stat, preview)


def _digest(path: str, stat: Stat) -> str:
    digest = hashlib.sha256()
    with objects().open(path, stat) as file:
        while data := file.read(_CHUNK):
            digest.update(data)
    return digest.hexdigest()


def _doubted(claim: description.Claim | None, patient_id: UUID, caller: UUID | None) -> Held | None:
    """What the file says, if it is not certain that it is about the patient."""
    if claim is None:
        return None
    answer: Any = client("xray").get("patient", f"/-/identity/{patient_id}", on_behalf_of=caller)
    try:
        patient = _identity.validate_python(answer)
    except ValidationError:
        raise Unavailable("patient does not say who this is.") from None
    found = doubts(claim, patient)
    return Held(claim.patient_id, claim.name, claim.birth_date, found) if found else None


def _with(expected: Xray, found: description.Description, claim: Held | None) -> Xray:
    """``expected`` with what the file says; what was said at the upload comes first."""
    told = expected.told
    return replace(
        expected,
        state="STORED" if claim is None else "HELD",
        modality=found.modality,
        taken_at=expected.taken_at or found.taken_at,
        width=found.width,
        height=found.height,
        frames=found.frames,
        told=Told(told.teeth or found.teeth, told.region or found.region, told.note, found.device),
        claim=claim,
    )
