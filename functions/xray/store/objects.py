"""The objects of images: deleted with their patient, and given out for an export."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from functions.xray.domain import model
from functions.xray.store import sweeps
from shared.blobs import objects
from shared.db import Database, Tx
from shared.errors import Unavailable
from shared.privacy import ExportFile

__all__ = ["discard", "discard_upload", "erase", "originals"]

_EXPORTED = timedelta(hours=1)


def erase(source: Tx | Database, patient_id: UUID) -> Mapping[str, int]:
    """Delete every object about a patient that no row names any more; how many. What the law
    holds is named by its row, and stays.

    It looks again when it has deleted: what is reported as gone is gone. Raises Unavailable.
    """
    kept, store = sweeps.kept_paths(source, patient_id), objects()
    folders = (model.person_folder(patient_id), model.incoming_folder(patient_id))
    gone = sum(store.delete_all(folder, but=kept) for folder in folders)
    if any(path not in kept for folder in folders for path in store.list(folder)):
        raise Unavailable("Objects of somebody who is erased are still there.")
    return {"objects": gone}


def originals(tx: Tx, patient_id: UUID) -> list[ExportFile]:
    """The files in a patient's record, as they were uploaded."""
    files = []
    for row in sweeps.originals(tx, patient_id):
        name = model.filename(row["xray_id"], row["content_type"])
        url = objects().presign_get(
            row["path"], expires=_EXPORTED, filename=name, content_type=row["content_type"]
        )
        files.append(ExportFile(name, url, row["sha256"], row["size"]))
    return files


def discard(patient_id: UUID, xray_id: UUID) -> None:
    """Delete all objects of one image. Raises Unavailable."""
    discard_upload(patient_id, xray_id)
    objects().delete_all(model.folder(patient_id, xray_id))


def discard_upload(patient_id: UUID, xray_id: UUID) -> None:
    """Delete what was uploaded. Raises Unavailable."""
    objects().delete(model.incoming(patient_id, xray_id))
