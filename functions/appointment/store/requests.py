"""The SQL of what patients ask reception for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.appointment.domain.hours import Span
from functions.appointment.store import windows as stretches
from functions.appointment.store.asked import Filter, listed, shown
from shared import audit
from shared.db import Database, Row, Tx

__all__ = ["decide", "insert", "listing", "lock", "show", "whose"]

_INSERT = """
insert into appointment_requests
  (request_id, patient_id, clinic_id, type_id, practitioner_id, windows, note, made_at)
values (:request_id, :patient_id, :clinic_id, :type_id, :practitioner_id::uuid,
        :windows::tstzmultirange, :note::bytea, :made_at)
"""

# What is sealed is opened with the key that comes with it.
_COLUMNS = f"""
select r.request_id, r.version, r.patient_id, r.clinic_id, r.type_id, r.practitioner_id,
       {stretches.SHOWN}, r.note, r.status, r.reason, r.appointment_id, r.made_at, r.decided_at,
       k.version as key_version, k.wrapped as key_wrapped
  from appointment_requests r left join subject_keys k on k.subject = r.patient_id
"""  # nosec B608

_SHOW = shown(_COLUMNS, "r", "request_id", "appointment request")
_LISTING = listed(_COLUMNS, "r", "request_id", "appointment request")

_DECIDE = """
update appointment_requests
   set version = version + 1, status = :status, reason = :reason::bytea,
       appointment_id = :appointment_id::uuid, decided_by = :by::uuid, decided_at = :at
 where request_id = :request_id and version = :version and status = 'OPEN' returning version
"""


def insert(tx: Tx, columns: dict[str, Any], windows: Sequence[Span]) -> None:
    """A new request. Raises ForeignKeyViolation."""
    tx.run(_INSERT, **columns, windows=stretches.literal(windows))


def show(source: Database | Tx, request_id: UUID, scope: Mapping[str, Any]) -> Row | None:
    """One request where it is in ``scope``; audited."""
    return source.one(_SHOW, request_id=request_id, **scope, **audit.who())


def whose(tx: Tx, request_id: UUID) -> Row | None:
    """patient_id and clinic_id; they never change."""
    return tx.one(
        "select patient_id, clinic_id from appointment_requests where request_id = :id",
        id=request_id,
    )


def lock(tx: Tx, request_id: UUID) -> Row | None:
    """Its ids, version and status, for this transaction alone."""
    return tx.one(
        "select request_id, version, patient_id, clinic_id, type_id, status, appointment_id"
        " from appointment_requests where request_id = :id for update",
        id=request_id,
    )


def listing(
    db: Database, wanted: Filter, after: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """Requests in the order in which they were made; audited."""
    return db.all(_LISTING, **wanted.params(after, limit))


def decide(
    tx: Tx,
    request_id: UUID,
    version: int,
    status: str,
    *,
    by: UUID | None,
    at: datetime,
    reason: bytes | None = None,
    appointment_id: UUID | None = None,
) -> int | None:
    """End an open request: its new version, or None where ``version`` is open no more."""
    found: int | None = tx.value(
        _DECIDE,
        request_id=request_id,
        version=version,
        status=status,
        reason=reason,
        appointment_id=appointment_id,
        by=by,
        at=at,
    )
    return found
