"""What staff decides about an image: whose it is, and that it was an error."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from uuid import UUID

from functions.xray.domain.model import NotThere, State, Xray
from functions.xray.service.sweeping import take_back
from functions.xray.service.uploads import stored
from functions.xray.store import xrays
from shared import audit
from shared.db import Tx
from shared.errors import NotFound, StaleVersion, Unavailable
from shared.privacy import alive
from shared.runtime import database, vault

__all__ = ["approve", "mark_error", "reject"]


def approve(xray_id: UUID, version: int, reason: str) -> Xray:
    """A held image is about the patient after all. Raises NotFound, StaleVersion, NotThere."""
    return _decide(xray_id, version, "HELD", "STORED", reason)


def reject(xray_id: UUID, version: int, reason: str) -> Xray:
    """A held image is about somebody else: its objects are deleted. Raises as ``approve``."""
    return _decide(xray_id, version, "HELD", "REJECTED", reason)


def mark_error(xray_id: UUID, version: int, reason: str) -> Xray:
    """An image of the record was entered in error: it stays, visible as such to staff only.
    Raises as ``approve``."""
    return _decide(xray_id, version, "STORED", "ENTERED_IN_ERROR", reason)


def _decide(xray_id: UUID, version: int, expected: State, state: State, reason: str) -> Xray:
    def work(tx: Tx) -> Xray:
        row = xrays.find(tx, xray_id)
        if row is None:
            raise NotFound("There is no such image.")
        alive(tx, row["patient_id"])
        row = xrays.lock(tx, xray_id)
        if row is None:
            raise NotFound("There is no such image.")
        seen, key = xrays.xray(row, vault("xray"))
        if seen.version != version:
            raise StaleVersion
        if seen.state != expected:
            raise NotThere(f"The image is {seen.state}.")
        new = xrays.decide(tx, key, seen, state, reason)
        if new is None:
            raise StaleVersion
        audit.record(tx, seen.patient_id, "write", f"xray {state.lower().replace('_', ' ')}")
        if state == "STORED":
            stored(tx, seen, new)
        if state == "REJECTED":
            tx.after(partial(_discard, seen))
        again = xrays.find(tx, xray_id)
        if again is None:
            raise NotFound("There is no such image.")
        return xrays.xray(again, vault("xray"))[0]

    return database("xray").transaction(work, isolation="READ COMMITTED")


def _discard(image: Xray) -> None:
    with suppress(Unavailable):  # the sweep does it then
        take_back(image.patient_id, image.xray_id)
