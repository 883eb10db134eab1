"""Treatment plans: the rows, their versions, and what the patient said about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from functions.treatment.domain.plans import Decision, Plan, Status
from functions.treatment.store import keys
from shared.audit import audited, who
from shared.crypto import Subject
from shared.db import Database, Row, Tx
from shared.types import uuid7

__all__ = [
    "Viewer",
    "add_version",
    "change",
    "decide",
    "insert",
    "list_of",
    "lock",
    "read_plan",
    "show",
    "versions",
    "whose",
]

_PLAN: TypeAdapter[Plan] = TypeAdapter(Plan)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose plans somebody may see: their own, those of clinics, or everybody's."""

    person: UUID | None
    clinics: tuple[UUID, ...] = ()
    everything: bool = False

    def params(self) -> Mapping[str, Any]:
        """As the statements here take them."""
        return {"me": self.person, "clinics": list(self.clinics), "everything": self.everything}


_VISIBLE = "(:everything or t.patient_id = :me::uuid or t.clinic_id = any(:clinics::uuid[]))"

# Under which items are done: see store/items.py.
_ITEMS = """
(select coalesce(jsonb_agg(jsonb_build_object(
          'item_id', i.item_id, 'price', i.price, 'current', i.current,
          'done', d.performed, 'performed_at', d.performed_at)), '[]')
   from treatment_items i
   cross join lateral (
     select count(*) > 0 as performed, max(x.performed_at) as performed_at
       from item_interventions x
      where x.item_id = i.item_id and x.patient_id = i.patient_id and not x.in_error) d
  where i.treatment_id = t.treatment_id) as items
"""
_COLUMNS = f"""
t.treatment_id, t.patient_id, t.clinic_id, t.version, t.plan_version, t.status, t.currency,
t.created_at, t.updated_at, v.plan, v.made_by, v.made_at, {keys.COLUMNS}
"""
_FROM = """
  from treatments t
  join treatment_versions v
    on v.treatment_id = t.treatment_id and v.plan_version = t.plan_version
  left join subject_keys k on k.subject = t.patient_id
"""

_SHOW = audited(
    f"select {_COLUMNS}, {_ITEMS} {_FROM} where t.treatment_id = :treatment_id and {_VISIBLE}",
    action="read",
    what="treatment plan",
    person="patient_id",
)
_LOCK = f"""
select {_COLUMNS} {_FROM} where t.treatment_id = :treatment_id for update of t
"""

# The last row only tells that there is a further page: it is shown to nobody.
_LIST = (
    audited(
        f"""
select {_COLUMNS}, {_ITEMS}, row_number() over (order by t.treatment_id desc) < :limit as shown
  {_FROM}
 where t.patient_id = :patient_id and {_VISIBLE}
   and (:status::text is null or t.status = :status)
   and (:after::uuid is null or t.treatment_id < :after)
 order by t.treatment_id desc limit :limit
""",
        action="read",
        what="treatment plans",
        person="patient_id",
        where="shown",
    )
    + " order by treatment_id desc"
)

_VERSIONS = (
    audited(
        f"""
select v.treatment_id, v.plan_version, v.patient_id, v.plan, v.made_by, v.made_at, {keys.COLUMNS},
       (select coalesce(jsonb_agg(jsonb_build_object(
                 'decision', d.decision, 'how', d.how, 'recorded_by', d.recorded_by,
                 'decided_at', d.decided_at, 'recorded_at', d.recorded_at,
                 'note', encode(d.note, 'hex')) order by d.decision_id), '[]')
          from treatment_decisions d
         where d.treatment_id = v.treatment_id and d.plan_version = v.plan_version) as decisions,
       row_number() over (order by v.plan_version desc) < :limit as shown
  from treatment_versions v
  join treatments t on t.treatment_id = v.treatment_id
  left join subject_keys k on k.subject = v.patient_id
 where v.treatment_id = :treatment_id and {_VISIBLE}
   and (:after::integer is null or v.plan_version < :after)
 order by v.plan_version desc limit :limit
""",  # nosec B608
        action="read",
        what="treatment plan versions",
        person="patient_id",
        where="shown",
    )
    + " order by plan_version desc"
)


def show(source: Database | Tx, treatment_id: UUID, viewer: Viewer) -> Row | None:
    """The newest version with ``items`` ({item_id, price, current, done, performed_at}), if
    ``viewer`` may see it."""
    return source.one(_SHOW, treatment_id=treatment_id, **viewer.params(), **who())


def list_of(
    db: Database,
    patient_id: UUID,
    viewer: Viewer,
    *,
    status: Status | None,
    after: UUID | None,
    limit: int,
) -> list[Row]:
    """As ``show``, newest plan first, up to ``limit`` of which the last is not shown."""
    return db.all(
        _LIST,
        patient_id=patient_id,
        status=status,
        after=after,
        limit=limit,
        **viewer.params(),
        **who(),
    )


def versions(
    db: Database, treatment_id: UUID, viewer: Viewer, *, after: int | None, limit: int
) -> list[Row]:
    """Every version, newest first, with its ``decisions``; the last of ``limit`` is not shown."""
    return db.all(
        _VERSIONS,
        treatment_id=treatment_id,
        after=after,
        limit=limit,
        **viewer.params(),
        **who(),
    )


def read_plan(row: Row, key: Subject) -> Plan:
    """The content of the version in ``row``."""
    return _PLAN.validate_json(key.open("plan", row["plan"]))


def whose(tx: Tx, treatment_id: UUID) -> Row | None:
    """patient_id and clinic_id: whom to look for before anything is shown or locked."""
    return tx.one(
        "select patient_id, clinic_id from treatments where treatment_id = :id", id=treatment_id
    )


def lock(tx: Tx, treatment_id: UUID) -> Row:
    """The newest version, locked until the transaction ends; shown to nobody."""
    found = tx.one(_LOCK, treatment_id=treatment_id)
    if found is None:
        raise AssertionError("a plan is never deleted while its patient's turn is taken")
    return found


def insert(tx: Tx, treatment_id: UUID, patient_id: UUID, *, clinic_id: UUID, currency: str) -> None:
    """A plan at version 1, which is on offer; its content comes with ``add_version``."""
    tx.run(
        "insert into treatments (treatment_id, patient_id, clinic_id, status, currency)"
        " values (:id, :patient_id, :clinic_id, 'OFFERED', :currency)",
        id=treatment_id,
        patient_id=patient_id,
        clinic_id=clinic_id,
        currency=currency,
    )


def add_version(
    tx: Tx,
    key: Subject,
    treatment_id: UUID,
    patient_id: UUID,
    *,
    plan_version: int,
    plan: Plan,
    made_by: UUID,
) -> None:
    """Keep ``plan`` as a version, for good."""
    tx.run(
        "insert into treatment_versions (treatment_id, plan_version, patient_id, plan, made_by)"
        " values (:id, :plan_version, :patient_id, :plan, :made_by)",
        id=treatment_id,
        plan_version=plan_version,
        patient_id=patient_id,
        plan=key.seal("plan", _PLAN.dump_json(plan).decode()),
        made_by=made_by,
    )


def change(tx: Tx, treatment_id: UUID, *, status: Status, plan_version: int) -> int:
    """Set these of a locked plan; the next version."""
    return int(
        tx.value(
            "update treatments set status = :status, plan_version = :plan_version,"
            " version = version + 1, updated_at = now() where treatment_id = :id"
            " returning version",
            id=treatment_id,
            status=status,
            plan_version=plan_version,
        )
    )


def decide(
    tx: Tx,
    row: Row,
    decision: Decision,
    *,
    how: str,
    by: UUID,
    at: datetime,
    note: bytes | None,
) -> None:
    """Keep what the patient said about the version in ``row``."""
    tx.run(
        "insert into treatment_decisions (decision_id, treatment_id, plan_version, patient_id,"
        " decision, how, recorded_by, decided_at, note)"
        " values (:decision_id, :id, :plan_version, :patient_id, :decision, :how, :by, :at, :note)",
        decision_id=uuid7(),
        id=row["treatment_id"],
        plan_version=row["plan_version"],
        patient_id=row["patient_id"],
        decision=decision,
        how=how,
        by=by,
        at=at,
        note=note,
    )
