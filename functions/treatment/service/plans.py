"""Offering plans, changing them, and the patient's consent. One transaction each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from functions.treatment.domain import plans as domain
from functions.treatment.domain.plans import Costs, Decision, Plan, Priced, Status
from functions.treatment.store import items, plans
from functions.treatment.store.keys import key_of
from functions.treatment.store.plans import Viewer
from shared import audit
from shared.clocks import clock
from shared.contracts.treatment import TreatmentAccepted, TreatmentCompleted, TreatmentPlanned
from shared.db import Row, Tx
from shared.errors import Forbidden, NotFound, StaleVersion
from shared.identity import Caller
from shared.known_people import must_be_patient
from shared.pages import Page, PageQuery
from shared.privacy import alive
from shared.runtime import database, vault
from shared.types import uuid7

__all__ = [
    "Consent",
    "Shown",
    "complete",
    "create",
    "decide",
    "list_of",
    "revise",
    "show",
    "versions",
]

_WHAT = "treatment plan"
_VersionNumber = Annotated[int, Field(ge=1, le=2**31 - 1)]


@dataclass(frozen=True, slots=True)
class Consent:
    """What the patient decided about a version: said in person, or signed on paper."""

    decision: Decision
    plan_version: int
    note: str | None = None
    signed_at: datetime | None = None
    """None: the patient says so now, and is the one who asks."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A plan as it is read: the row, the content of its newest version, what it costs."""

    row: Row
    plan: Plan
    costs: Costs
    done: dict[UUID, datetime | None] = field(default_factory=dict)
    """The items that are done, and since when (None: the time is not known)."""


def create(
    patient_id: UUID, clinic_id: UUID, plan: Plan, *, currency: str, by: Caller, viewer: Viewer
) -> Shown:
    """Offer a new plan to a patient. Raises NotFound where there is no such patient, PersonErased,
    Unavailable."""
    must_be_patient("treatment", patient_id)
    treatment_id = uuid7()

    def work(tx: Tx) -> Shown:
        alive(tx, patient_id)
        items.turn(tx, patient_id)
        key = vault("treatment").new_subject(tx, patient_id)
        plans.insert(tx, treatment_id, patient_id, clinic_id=clinic_id, currency=currency)
        plans.add_version(
            tx, key, treatment_id, patient_id, plan_version=1, plan=plan, made_by=by.person
        )
        items.offer(tx, treatment_id, patient_id, plan.items())
        audit.record(tx, patient_id, "create", _WHAT)
        tx.emit(
            TreatmentPlanned(
                treatment_id=treatment_id,
                patient_id=patient_id,
                clinic_id=clinic_id,
                plan_version=1,
            ),
            version=1,
        )
        return _shown(plans.show(tx, treatment_id, viewer))

    return database("treatment").transaction(work, isolation="READ COMMITTED")


def revise(
    treatment_id: UUID,
    version: int,
    plan: Plan,
    *,
    named: Collection[UUID],
    by: Caller,
    viewer: Viewer,
) -> Shown:
    """Offer ``plan`` as the next version, which needs a consent of its own.

    ``version`` is what the dentist has seen, ``named`` the items that are said to be of an earlier
    version. Raises NotFound, Forbidden, StaleVersion,
    PlanCompleted, ItemDone, Invalid, PersonErased.
    """

    def work(tx: Tx) -> Shown:
        row = _lock(tx, treatment_id, by, ("DENTIST",))
        if row["version"] != version:
            raise StaleVersion
        key = key_of(row)
        tally = items.tally(tx, treatment_id)
        agreed = {item.item_id: item for item in plans.read_plan(row, key).items()}
        done = {one: agreed.get(one) for one, item in tally.items() if item.done}
        domain.revisable(row["status"], plan, named=named, known=tally.keys(), done=done)
        patient_id, following = row["patient_id"], row["plan_version"] + 1
        plans.add_version(
            tx,
            key,
            treatment_id,
            patient_id,
            plan_version=following,
            plan=plan,
            made_by=by.person,
        )
        items.offer(tx, treatment_id, patient_id, plan.items())
        new = plans.change(tx, treatment_id, status="OFFERED", plan_version=following)
        audit.record(tx, patient_id, "write", _WHAT)
        tx.emit(
            TreatmentPlanned(
                treatment_id=treatment_id,
                patient_id=patient_id,
                clinic_id=row["clinic_id"],
                plan_version=following,
            ),
            version=new,
        )
        return _shown(plans.show(tx, treatment_id, viewer))

    return database("treatment").transaction(work, isolation="READ COMMITTED")


def decide(treatment_id: UUID, consent: Consent, by: Caller, viewer: Viewer) -> Shown:
    """Keep the patient's decision about a version; the same one again changes nothing.

    Raises NotFound, Forbidden, PlanVersionReplaced, NotOffered, PersonErased.
    """

    def work(tx: Tx) -> Shown:
        staff = () if consent.signed_at is None else ("DENTIST", "RECEPTIONIST")
        row = _lock(tx, treatment_id, by, staff)
        tally = items.tally(tx, treatment_id)
        status = domain.decided(
            row["status"],
            row["plan_version"],
            consent.decision,
            consent.plan_version,
            all_done=domain.all_done(tally.values()),
        )
        if status != row["status"]:
            _keep_decision(tx, row, status, consent, by)
        return _shown(plans.show(tx, treatment_id, viewer))

    return database("treatment").transaction(work, isolation="READ COMMITTED")


def show(treatment_id: UUID, viewer: Viewer) -> Shown:
    """The newest version. Raises NotFound, also for who may not see it."""
    return _shown(plans.show(database("treatment"), treatment_id, viewer))


def list_of(
    patient_id: UUID, viewer: Viewer, query: PageQuery, status: Status | None
) -> Page[Shown]:
    """A patient's plans as far as ``viewer`` may see them, newest first. Raises BadRequest."""
    (after,) = query.after(tuple[UUID]) or (None,)
    rows = plans.list_of(
        database("treatment"),
        patient_id,
        viewer,
        status=status,
        after=after,
        limit=query.limit + 1,
    )
    return Page.of(rows, query.limit, lambda row: (row["treatment_id"],), _shown)


def versions(treatment_id: UUID, viewer: Viewer, query: PageQuery) -> Page[tuple[Row, Plan]]:
    """Every version, newest first, each with its ``decisions`` and their notes readable.

    Raises NotFound, BadRequest.
    """
    (after,) = query.after(tuple[_VersionNumber]) or (None,)
    rows = plans.versions(
        database("treatment"), treatment_id, viewer, after=after, limit=query.limit + 1
    )
    if not rows and after is None:
        raise NotFound("There is no such plan.")
    return Page.of(rows, query.limit, lambda row: (row["plan_version"],), _version)


def complete(tx: Tx, treatment_id: UUID) -> None:
    """Bring a plan up to date with what was done for its items, and say so when all of it is.

    The patient's ``turn`` has been taken.
    """
    row = plans.lock(tx, treatment_id)
    done = domain.all_done(items.tally(tx, treatment_id).values())
    status = domain.after_items(row["status"], all_done=done)
    # Also without a new status: whoever has read the plan has not seen this.
    new = plans.change(tx, treatment_id, status=status, plan_version=row["plan_version"])
    if status == "COMPLETED" != row["status"]:
        tx.emit(_completed(row), version=new)


def _keep_decision(tx: Tx, row: Row, status: Status, consent: Consent, by: Caller) -> None:
    paper, key = consent.signed_at is not None, key_of(row)
    plans.decide(
        tx,
        row,
        consent.decision,
        how="PAPER" if paper else "PATIENT",
        by=by.person,
        at=consent.signed_at or clock().now(),
        note=key.seal("note", consent.note),
    )
    new = plans.change(tx, row["treatment_id"], status=status, plan_version=row["plan_version"])
    audit.record(tx, row["patient_id"], "write", "consent on paper" if paper else "consent")
    if consent.decision == "ACCEPTED":
        accepted = TreatmentAccepted(
            treatment_id=row["treatment_id"],
            patient_id=row["patient_id"],
            clinic_id=row["clinic_id"],
            plan_version=row["plan_version"],
        )
        tx.emit(accepted, version=new)
    if status == "COMPLETED":
        tx.emit(_completed(row), version=new)


def _lock(tx: Tx, treatment_id: UUID, by: Caller, staff: Sequence[str]) -> Row:
    """The plan, locked, if ``by`` has a role of ``staff`` at its clinic, or is its patient where
    no staff is named. Raises NotFound, Forbidden, PersonErased."""
    found = plans.whose(tx, treatment_id)
    mine = found is not None and by.is_owner(found["patient_id"])
    if found is None or not (staff or mine):
        raise NotFound("There is no such plan.")
    if staff and not any(by.has(role, found["clinic_id"]) for role in staff):
        raise Forbidden("This plan is another clinic's.")
    alive(tx, found["patient_id"])
    items.turn(tx, found["patient_id"])
    return plans.lock(tx, treatment_id)


def _shown(row: Row | None) -> Shown:
    if row is None:
        raise NotFound("There is no such plan.")
    tally = [Priced(item["price"], item["done"], item["current"]) for item in row["items"]]
    done = {
        UUID(item["item_id"]): _moment(item["performed_at"])
        for item in row["items"]
        if item["done"]
    }
    return Shown(row, plans.read_plan(row, key_of(row)), domain.costs(tally), done)


def _version(row: Row) -> tuple[Row, Plan]:
    key = key_of(row)
    decisions = [
        {**one, "note": key.unseal("note", one["note"] and bytes.fromhex(one["note"]))}
        for one in row["decisions"]
    ]
    return {**row, "decisions": decisions}, plans.read_plan(row, key)


def _completed(row: Row) -> TreatmentCompleted:
    return TreatmentCompleted(
        treatment_id=row["treatment_id"],
        patient_id=row["patient_id"],
        clinic_id=row["clinic_id"],
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
