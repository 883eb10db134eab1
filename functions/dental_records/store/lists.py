"""Lists of records: pages of the read models, each read on record."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from functions.dental_records.domain.chart import InterventionRecord, ProblemRecord, Status
from functions.dental_records.store.projection import (
    PROJECTION,
    lot_index,
    opened_intervention,
    opened_problem,
)
from shared.audit import audited, visible, who
from shared.crypto import Subject
from shared.db import Database, Row
from shared.runtime import vault

__all__ = ["Position", "interventions", "of_lot", "problems"]


class Position(NamedTuple):
    """Where a page ended: lists go from the newest record to the oldest."""

    since: datetime
    id: UUID


_PROBLEMS = PROJECTION.live()
_INTERVENTIONS = PROJECTION.live("tooth_interventions")
_KEY = "left join subject_keys k on k.subject = r.patient_id"

# RESOLVED follows from an intervention that is not in error, so it is not a column: each row says
# only what its own facts say.
_PROBLEM_LIST = audited(
    f"""
select r.*, k.version as key_version, k.wrapped as key_wrapped,
       row_number() over (order by r.since desc, r.problem_id) = 1 as first
  from (select p.*, case when p.entered_in_error then 'ENTERED_IN_ERROR'
                         when exists (select from {_INTERVENTIONS} i
                                       where i.patient_id = p.patient_id and i.resolves
                                         and not i.entered_in_error
                                         and p.problem_id = any(i.problem_ids)) then 'RESOLVED'
                         else 'ACTIVE' end as status
          from {_PROBLEMS} p where p.patient_id = :patient) r {_KEY}
 where (:tooth::text is null or r.tooth = :tooth)
   and (:status::text is null or r.status = :status)
   and (:since::timestamptz is null or (r.since, :last::uuid) < (:since, r.problem_id))
 order by r.since desc, r.problem_id limit :limit
""",  # nosec B608
    action="read",
    what="tooth problems",
    person="patient_id",
    where="first",
)
_INTERVENTION_LIST = audited(
    f"""
select r.*, k.version as key_version, k.wrapped as key_wrapped,
       row_number() over (order by r.since desc, r.intervention_id) = 1 as first
  from {_INTERVENTIONS} r {_KEY}
 where r.patient_id = :patient and (:tooth::text is null or :tooth = any(r.teeth))
   and (:since::timestamptz is null or (r.since, :last::uuid) < (:since, r.intervention_id))
 order by r.since desc, r.intervention_id limit :limit
""",  # nosec B608
    action="read",
    what="tooth interventions",
    person="patient_id",
    where="first",
)
# A page of many patients: each of them has a row in the audit log.
_OF_LOT = audited(
    f"""
select r.*, k.version as key_version, k.wrapped as key_wrapped
  from {_INTERVENTIONS} r {_KEY}
 where r.lots @> array[:lot::bytea] and not r.entered_in_error and {visible("r.patient_id")}
   and (:since::timestamptz is null or (r.since, :last::uuid) < (:since, r.intervention_id))
 order by r.since desc, r.intervention_id limit :limit
""",  # nosec B608
    action="search",
    what="lot of a material",
    person="patient_id",
)


def problems(
    db: Database,
    patient_id: UUID,
    *,
    tooth: str | None,
    status: Status | None,
    after: Position | None,
    limit: int,
) -> list[tuple[ProblemRecord, Status]]:
    """Up to ``limit`` problems behind ``after``, newest first."""
    rows = db.all(
        f"{_PROBLEM_LIST} order by since desc, problem_id",
        patient=patient_id,
        tooth=tooth,
        status=status,
        **_from(after),
        limit=limit,
        **who(),
    )
    return [(_problem(row), row["status"]) for row in rows]


def interventions(
    db: Database, patient_id: UUID, *, tooth: str | None, after: Position | None, limit: int
) -> list[InterventionRecord]:
    """Up to ``limit`` interventions behind ``after``, newest first."""
    rows = db.all(
        f"{_INTERVENTION_LIST} order by since desc, intervention_id",
        patient=patient_id,
        tooth=tooth,
        **_from(after),
        limit=limit,
        **who(),
    )
    return [_intervention(row) for row in rows]


def of_lot(
    db: Database, lot: str, after: Position | None, limit: int
) -> list[tuple[UUID, InterventionRecord]]:
    """Whose interventions used this lot: (patient, intervention), newest first."""
    rows = db.all(
        f"{_OF_LOT} order by since desc, intervention_id",
        lot=lot_index(lot),
        **_from(after),
        limit=limit,
        **who(),
    )
    return [(row["patient_id"], _intervention(row)) for row in rows]


def _from(after: Position | None) -> dict[str, object]:
    return {"since": after and after.since, "last": after and after.id}


def _key(row: Row) -> Subject:
    return vault("dental_records").subject(
        row["patient_id"], row["key_version"], row["key_wrapped"]
    )


def _problem(row: Row) -> ProblemRecord:
    problem, reason = opened_problem(_key(row), row["record"], row["reason"])
    return ProblemRecord(
        row["problem_id"], problem, row["since"], row["version"], row["changed_at"], reason
    )


def _intervention(row: Row) -> InterventionRecord:
    done, reason = opened_intervention(_key(row), row["record"], row["reason"])
    return InterventionRecord(
        row["intervention_id"],
        done,
        row["since"],
        row["version"],
        row["changed_at"],
        row["treatment_item_id"],
        reason,
    )
