"""The ledger of erasures: outside the databases, so that a restored backup cannot undo them.

An entry is created before anything is destroyed and never changed. Its name begins with the time
of the request, so that what came since a moment is one listing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from shared import log
from shared.blobs import blobs
from shared.contracts.gdpr import ErasureReason
from shared.db import Row

__all__ = ["Entry", "entries", "record"]

_FOLDER = "erasures"
# Machines' clocks differ, and an entry is destroyed a moment after it was requested.
_MARGIN = timedelta(hours=1)


class Entry(BaseModel):
    """Who is to be erased, why and since when."""

    model_config = ConfigDict(frozen=True)

    erasure_id: UUID
    person_id: UUID
    reason: ErasureReason
    requested_by: UUID | None
    requested_at: datetime

    @classmethod
    def of(cls, row: Row) -> Entry:
        """The entry of an erasure's row."""
        return cls(**{**row, "erasure_id": row["id"]})

    @property
    def path(self) -> str:
        """Where it lies."""
        return f"{_at(self.requested_at)}-{self.erasure_id}.json"


def record(entry: Entry) -> None:
    """Write ``entry``; a second time changes nothing. Raises Unavailable."""
    blobs().create(entry.path, entry.model_dump_json().encode())


def entries(since: datetime) -> tuple[list[Entry], list[str]]:
    """What was requested since then (and somewhat before), and the paths of entries that cannot
    be read. Raises Unavailable."""
    found: list[Entry] = []
    unreadable: list[str] = []
    for path in blobs().list(_FOLDER, after=_at(since - _MARGIN)):
        try:
            found.append(Entry.model_validate_json(blobs().get(path) or b""))
        except ValidationError:
            log.error("erasure_ledger_unreadable", path=path)
            unreadable.append(path)
    return found, unreadable


def _at(moment: datetime) -> str:
    utc = moment.astimezone(UTC)
    return f"{_FOLDER}/{utc:%Y/%m/%d}/{utc:%Y%m%dT%H%M%S.%fZ}"
