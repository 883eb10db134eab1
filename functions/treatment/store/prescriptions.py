"""Prescriptions: what was issued, for good, and which were cancelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from functions.treatment.domain.allergies import Conflicting
from functions.treatment.domain.prescriptions import Content, Status
from functions.treatment.store import keys
from shared.audit import audited, who
from shared.crypto import Subject
from shared.db import Database, Row, Tx

__all__ = [
    "Override",
    "cancel",
    "insert",
    "list_of",
    "lock",
    "read_content",
    "read_override",
    "show",
    "whose",
]


@dataclass(frozen=True, slots=True)
class Override:
    """Why it was issued although something spoke against it, and what that was."""

    reason: str
    conflicts: Sequence[Conflicting]


_CONTENT: TypeAdapter[Content] = TypeAdapter(Content)
_OVERRIDE: TypeAdapter[Override] = TypeAdapter(Override)

_VISIBLE = "(:everything or p.patient_id = :me::uuid)"
_SELECT = f"""
select p.prescription_id, p.patient_id, p.clinic_id, p.treatment_id, p.prescriber_id, p.version,
       p.status, p.content, p.allergies_version, p.override, p.issued_at, p.cancelled_at,
       p.cancelled_by, p.cancel_reason, {keys.COLUMNS}
"""
_FROM = """
  from prescriptions p
  left join subject_keys k on k.subject = p.patient_id
"""
_SHOW = audited(
    f"{_SELECT} {_FROM} where p.prescription_id = :id and {_VISIBLE}",
    action="read",
    what="prescription",
    person="patient_id",
)
# The last row only tells that there is a further page: it is shown to nobody.
_LIST = (
    audited(
        f"""
{_SELECT}, row_number() over (order by p.prescription_id desc) < :limit as shown
  {_FROM}
 where p.patient_id = :patient_id and {_VISIBLE}
   and (:status::text is null or p.status = :status)
   and (:after::uuid is null or p.prescription_id < :after)
 order by p.prescription_id desc limit :limit
""",
        action="read",
        what="prescriptions",
        person="patient_id",
        where="shown",
    )
    + " order by prescription_id desc"
)
_INSERT = """
insert into prescriptions (prescription_id, patient_id, clinic_id, treatment_id, prescriber_id,
                           content, allergies_version, override)
values (:prescription_id, :patient_id, :clinic_id, :treatment_id, :prescriber_id,
        :content, :allergies_version, :override)
"""
_CANCEL = """
update prescriptions
   set status = 'CANCELLED', version = version + 1, cancelled_at = now(), cancelled_by = :by,
       cancel_reason = :reason
 where prescription_id = :id
"""


def show(
    source: Database | Tx, prescription_id: UUID, *, me: UUID | None, everything: bool
) -> Row | None:
    """One prescription, if it is ``me``'s, or ``everything`` may be seen."""
    return source.one(_SHOW, id=prescription_id, me=me, everything=everything, **who())


def list_of(
    db: Database,
    patient_id: UUID,
    *,
    me: UUID | None,
    everything: bool,
    status: Status | None,
    after: UUID | None,
    limit: int,
) -> list[Row]:
    """A patient's, newest first, up to ``limit`` of which the last is not shown."""
    return db.all(
        _LIST,
        patient_id=patient_id,
        me=me,
        everything=everything,
        status=status,
        after=after,
        limit=limit,
        **who(),
    )


def insert(
    tx: Tx, key: Subject, content: Content, override: Override | None, row: Mapping[str, Any]
) -> None:
    """Issue it. ``row``: prescription_id, patient_id, clinic_id, treatment_id, prescriber_id,
    allergies_version."""
    reason = None if override is None else _OVERRIDE.dump_json(override).decode()
    tx.run(
        _INSERT,
        content=key.seal("content", _CONTENT.dump_json(content).decode()),
        override=key.seal("override", reason),
        **row,
    )


def whose(tx: Tx, prescription_id: UUID) -> UUID | None:
    """Whom it is for."""
    found: UUID | None = tx.value(
        "select patient_id from prescriptions where prescription_id = :id", id=prescription_id
    )
    return found


def lock(tx: Tx, prescription_id: UUID) -> Row:
    """The row until the transaction ends; shown to nobody."""
    found = tx.one(
        f"{_SELECT} {_FROM} where p.prescription_id = :id for update of p",
        id=prescription_id,
    )
    if found is None:
        raise AssertionError("a prescription is never deleted while its patient is alive")
    return found


def cancel(tx: Tx, prescription_id: UUID, *, by: UUID, reason: bytes | None) -> None:
    """Cancel a locked one. Not of the past: it stays on record."""
    tx.run(_CANCEL, id=prescription_id, by=by, reason=reason)


def read_content(row: Row, key: Subject) -> Content:
    """What it says."""
    return _CONTENT.validate_json(key.open("content", row["content"]))


def read_override(row: Row, key: Subject) -> Override | None:
    """Why it was issued although, if it was."""
    if row["override"] is None:
        return None
    return _OVERRIDE.validate_json(key.open("override", row["override"]))
