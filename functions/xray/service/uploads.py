"""How an image comes into a record: an upload is allowed, made past us, and completed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import cast
from uuid import UUID

from functions.xray.domain import model, rendering
from functions.xray.domain.limits import ImageRefused, Reason
from functions.xray.domain.model import NotUploaded, Told, Xray
from functions.xray.domain.signatures import PNG, MediaType
from functions.xray.service.checking import Checked, check
from functions.xray.store import objects as objects_of
from functions.xray.store import xrays
from functions.xray.store.xrays import File
from shared import audit, faults
from shared.blobs import Replaced, objects
from shared.clocks import clock
from shared.contracts.xray import XrayStored
from shared.db import Row, Tx
from shared.errors import NotFound, StaleVersion, Unavailable
from shared.known_people import must_be_patient
from shared.object_urls import Signed
from shared.privacy import PersonErased, alive
from shared.runtime import database, vault
from shared.types import uuid7

__all__ = ["GOOD_FOR", "Order", "cancel", "complete", "order", "stored"]

GOOD_FOR = timedelta(hours=1)
"""How long an upload's URL may be used."""
# And how long after that it may be completed: well before the sweep, which would take away the
# objects of one that is being completed.
_TO_COMPLETE = timedelta(minutes=15)


@dataclass(frozen=True)
class Order:
    """The image that somebody wants to upload."""

    patient_id: UUID
    content_type: MediaType
    size: int
    sha256: str
    time_zone: str | None
    taken_at: datetime | None
    told: Told


def order(wanted: Order) -> tuple[Xray, Signed]:
    """Allow one upload: its row, and the URL for it. Raises NotFound, PersonErased, Unavailable."""
    must_be_patient("xray", wanted.patient_id)
    now = clock().now()
    made = Xray(
        xray_id=uuid7(),
        patient_id=wanted.patient_id,
        version=1,
        state="PENDING",
        content_type=wanted.content_type,
        size=wanted.size,
        sha256=wanted.sha256,
        time_zone=wanted.time_zone,
        modality=None,
        taken_at=wanted.taken_at,
        width=None,
        height=None,
        frames=None,
        told=wanted.told,
        claim=None,
        reason=None,
        refusal=None,
        refusal_detail=None,
        created_at=now,
        expires_at=now + GOOD_FOR,
        has_preview=False,
    )
    signed = objects().presign_put(
        model.incoming(made.patient_id, made.xray_id),
        expires=GOOD_FOR,
        size=made.size,
        content_type=made.content_type,
    )

    def work(tx: Tx) -> None:
        alive(tx, made.patient_id)
        xrays.insert(tx, vault("xray").new_subject(tx, made.patient_id), made)
        audit.record(tx, made.patient_id, "create", "xray upload")

    database("xray").transaction(work, isolation="READ COMMITTED")
    return made, signed


def complete(xray_id: UUID, caller: UUID | None, *, looks: bool = True) -> Xray:
    """Take what was uploaded into the record, if it is what was announced; or hold it for staff.

    Reception, which never ``looks`` at images, is answered again for as long as uploads take.
    It may be repeated, also at the same time, and after a crash at any point: the image is stored
    once. Raises NotFound, NotUploaded, ImageRefused, Replaced, Unavailable.
    """
    found = _found(xrays.find(database("xray"), xray_id))
    if found.state != "PENDING":
        if not looks and found.expires_at <= clock().now():
            raise NotFound("There is no such image.")
        return _shown(xray_id)
    if found.expires_at + _TO_COMPLETE <= clock().now():
        raise NotUploaded("The time for this upload is over: announce it anew.")
    path = model.incoming(found.patient_id, xray_id)
    stat = objects().stat(path)
    if stat is None:
        # Perhaps somebody else has just completed it, and the upload is gone for that reason.
        again = _found(xrays.find(database("xray"), xray_id))
        if again.state == "PENDING":
            raise NotUploaded
        return _shown(xray_id)
    try:
        checked = check(path, stat, found, caller)
        files = _place(checked)
    except (ImageRefused, Replaced) as failure:
        if isinstance(failure, ImageRefused) and _refuse(found, failure):
            raise
        # Whoever was first has taken the upload away: theirs is the answer.
        again = _found(xrays.find(database("xray"), xray_id))
        if again.state == "PENDING":
            raise
        return _shown(xray_id)
    faults.point("xray.copied")
    done = _record(checked, files)
    faults.point("xray.stored")
    return _settled(done)


def cancel(xray_id: UUID, version: int) -> None:
    """Give up an upload that came to nothing. Raises NotFound, StaleVersion, NotThere."""

    def work(tx: Tx) -> None:
        seen = _found(xrays.lock(tx, xray_id))
        if seen.version != version:
            raise StaleVersion
        if seen.state not in ("PENDING", "REFUSED"):
            raise model.NotThere("Only an upload that came to nothing is deleted.")
        xrays.delete(tx, xray_id)
        audit.record(tx, seen.patient_id, "erase", "xray upload")
        tx.after(_soon(partial(objects_of.discard, seen.patient_id, xray_id)))

    database("xray").transaction(work, isolation="READ COMMITTED")


def stored(tx: Tx, image: Xray, version: int) -> None:
    """Tell others that the image is in the record, as of ``version``."""
    event = XrayStored(
        xray_id=image.xray_id,
        patient_id=image.patient_id,
        modality=image.modality,
        teeth=image.told.teeth,
        taken_at=image.taken_at,
    )
    tx.emit(event, version=version)


def _place(checked: Checked) -> list[File]:
    """Put the file and its pictures where no upload's URL leads."""
    image, store = checked.xray, objects()
    who, xray_id = image.patient_id, image.xray_id
    target = model.original(who, xray_id)
    store.copy(
        model.incoming(who, xray_id),
        target,
        checked.stat,
        sha256=image.sha256,
        content_type=image.content_type,
        filename=model.filename(xray_id, image.content_type),
    )
    files = [File("original", target, image.content_type, image.size, image.sha256)]
    if checked.preview is not None:
        small = rendering.thumbnail(checked.preview)
        for kind, path, data in (
            ("preview", model.preview(who, xray_id), checked.preview),
            ("thumbnail", model.thumbnail(who, xray_id), small),
        ):
            with store.write(path, content_type=PNG) as made:
                made.write(data)
            digest = hashlib.sha256(data).hexdigest()
            files.append(File(kind, path, PNG, len(data), digest))  # type: ignore[arg-type]
    return files


def _record(checked: Checked, files: list[File]) -> Xray:
    """Write the image down, unless somebody else has. Raises NotFound, PersonErased."""
    image = checked.xray

    def work(tx: Tx) -> Xray:
        alive(tx, image.patient_id)
        row = xrays.lock(tx, image.xray_id)
        now = _found(row)
        if now.state != "PENDING":
            return now
        key = vault("xray").new_subject(tx, image.patient_id)
        version = xrays.settle(tx, key, image, files)
        audit.record(tx, image.patient_id, "create", "xray")
        if image.state == "STORED":
            stored(tx, image, version)
        tx.after(_soon(partial(objects_of.discard_upload, image.patient_id, image.xray_id)))
        return _found(xrays.find(tx, image.xray_id))

    try:
        done = database("xray").transaction(work, isolation="READ COMMITTED")
    except (NotFound, PersonErased):
        # Erased or given up meanwhile: what was placed since then is nobody's.
        objects_of.discard(image.patient_id, image.xray_id)
        raise
    if done.state in ("REFUSED", "REJECTED"):
        objects_of.discard(image.patient_id, image.xray_id)
    return done


def _refuse(image: Xray, refused: ImageRefused) -> bool:
    """Note why the upload is not accepted and delete it; False where it was completed meanwhile."""

    def work(tx: Tx) -> bool:
        if not xrays.refuse(tx, image.xray_id, refused.reason, refused.detail):
            return False
        tx.keep()  # although the request is refused
        audit.record(tx, image.patient_id, "write", "xray upload refused")
        tx.after(_soon(partial(objects_of.discard, image.patient_id, image.xray_id)))
        return True

    return database("xray").transaction(work, isolation="READ COMMITTED")


def _shown(xray_id: UUID) -> Xray:
    """What has become of the image, on record as any other look. Raises NotFound, ImageRefused."""
    return _settled(_found(xrays.show(database("xray"), xray_id, None, "xray")))


def _settled(image: Xray) -> Xray:
    """The image, as often as it is asked for. Raises ImageRefused, as at first."""
    if image.state == "REFUSED":
        raise ImageRefused(image.refusal_detail, reason=cast("Reason", image.refusal))
    return image


def _found(row: Row | None) -> Xray:
    if row is None:
        raise NotFound("There is no such image.")
    return xrays.xray(row, vault("xray"))[0]


def _soon(work: Callable[[], None]) -> Callable[[], None]:
    """``work``, whose failure does not matter: the sweep does it then."""

    def run() -> None:
        with suppress(Unavailable):
            work()

    return run
