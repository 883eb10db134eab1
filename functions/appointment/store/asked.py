"""The SQL that requests and wishes share: how they are shown, and listed in the order in which
they were made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.appointment.store.scope import mine
from shared import audit

__all__ = ["Filter", "listed", "shown"]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which of them are asked for; None: whatever it is."""

    clinic_id: UUID | None = None
    patient_id: UUID | None = None
    status: str | None = None

    def params(self, after: tuple[datetime, UUID] | None, limit: int) -> dict[str, Any]:
        """The parameters of a statement of ``listed``, which goes on behind ``after``."""
        at, identity = after or (None, None)
        return {
            "clinic_id": self.clinic_id,
            "patient_id": self.patient_id,
            "status": self.status,
            "after_at": at,
            "after_id": identity,
            "limit": limit,
            **audit.who(),
        }


def shown(columns: str, alias: str, identity: str, what: str) -> str:
    """The row whose ``identity`` is the parameter of this name, where it is in the scope; audited
    as ``what``. ``columns`` is a SELECT without conditions, in which ``alias`` is the table."""
    where = f"where {alias}.{identity} = :{identity} and {mine(alias)}"
    return audit.audited(f"{columns} {where}", action="read", what=what, person="patient_id")


def listed(columns: str, alias: str, identity: str, what: str) -> str:
    """As ``shown``, of those that a ``Filter`` names."""
    page = f"""{columns}
 where (:clinic_id::uuid is null or {alias}.clinic_id = :clinic_id::uuid)
   and (:patient_id::uuid is null or {alias}.patient_id = :patient_id::uuid)
   and (:status::text is null or {alias}.status = :status::text)
   and (:after_id::uuid is null
        or ({alias}.made_at, {alias}.{identity}) > (:after_at::timestamptz, :after_id::uuid))
 order by {alias}.made_at, {alias}.{identity} limit :limit
"""
    sql = audit.audited(page, action="read", what=what, person="patient_id")
    return f"{sql} order by made_at, {identity}"
