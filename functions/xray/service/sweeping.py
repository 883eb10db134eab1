"""Deleting what is nobody's: uploads that came to nothing, and objects without a row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from uuid import UUID

from functions.xray.domain import model
from functions.xray.store import objects as objects_of
from functions.xray.store import sweeps
from shared import audit
from shared.blobs import objects
from shared.clocks import clock
from shared.db import Row, Tx
from shared.runtime import database

__all__ = ["sweep", "take_back"]

# Whoever began in time may take this long to end.
_GRACE = timedelta(hours=1)
_LATELY = timedelta(days=7)
_BATCH = 200


def sweep() -> int:
    """Delete uploads that were never completed, row and object, and every object that no row
    speaks for; how many. A process may have ended between object and row, or an upload's URL may
    have been used once more. Raises Unavailable."""
    return _expired() + _rejected() + _incoming() + _erased()


def _expired() -> int:
    db, before, count = database("xray"), clock().now() - _GRACE, 0
    for row in sweeps.expired(db, before, _BATCH):
        # The objects first: without its row nobody would know of them.
        objects_of.discard(row["patient_id"], row["xray_id"])

        def work(tx: Tx, row: Row = row) -> bool:
            removed = sweeps.remove(tx, row["xray_id"], before)
            if removed:
                audit.record(tx, row["patient_id"], "erase", "xray upload")
            return removed

        count += db.transaction(work, isolation="READ COMMITTED")
    return count


def _rejected() -> int:
    rows = sweeps.rejected(database("xray"), _BATCH)
    return sum(take_back(row["patient_id"], row["xray_id"]) for row in rows)


def take_back(patient_id: UUID, xray_id: UUID) -> int:
    """Delete the objects of a rejected image, then the rows that name them; how many. Raises
    Unavailable."""
    objects_of.discard(patient_id, xray_id)
    forget = partial(sweeps.forget_files, xray_id=xray_id)
    return database("xray").transaction(forget, isolation="READ COMMITTED")


def _incoming() -> int:
    """Uploads whose image is not PENDING (any more)."""
    count, paths = 0, iter(list(objects().list(model.incoming_folder())))
    for batch in _batches(paths):
        ids = {path: model.xray_of(path) for path in batch}
        waiting = sweeps.pending(database("xray"), {i for i in ids.values() if i is not None})
        count += sum(objects().delete(path) for path, i in ids.items() if i not in waiting)
    return count


def _erased() -> int:
    """What a completion placed while its patient was erased, if it could not take it back."""
    db = database("xray")
    people = sweeps.erased_lately(db, clock().now() - _LATELY)
    return sum(objects_of.erase(db, person)["objects"] for person in people)


def _batches(paths: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(paths, _BATCH)):
        yield batch
