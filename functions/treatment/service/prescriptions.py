"""Prescribing, checked against what the patient is allergic to, and taking it back.

Which comes first, an allergy that is recorded or a prescription? Whoever has the replica's row
first. Issuing locks it until its commit, and so does the handler that follows patient. A list that
commits before is seen by the check; one that commits after it finds the prescription issued, which
says by its ``allergies_version`` what it was checked against.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from functions.treatment.domain.allergies import Conflicting, conflicts
from functions.treatment.domain.prescriptions import (
    AllergiesUnknown,
    AllergyConflict,
    Content,
    NotIssued,
    Status,
    shown,
)
from functions.treatment.service.allergies import ask_if_needed
from functions.treatment.store import plans, prescriptions, replicas
from functions.treatment.store.keys import key_of
from functions.treatment.store.prescriptions import Override
from functions.treatment.store.replicas import Told
from shared import audit
from shared.clocks import clock
from shared.contracts.treatment import PrescriptionIssued
from shared.db import Row, Tx
from shared.errors import Conflict, Forbidden, NotFound, Unavailable
from shared.identity import Caller
from shared.known_people import must_be_patient
from shared.pages import Page, PageQuery
from shared.privacy import alive
from shared.runtime import database, vault
from shared.types import uuid7

__all__ = ["Issued", "Waiver", "Wanted", "cancel", "issue", "list_of", "show"]

_LOOKS = 3  # news may come between the look and the transaction, but not for ever


class _NotTrusted(Exception):
    """News has come since the look: look again."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """A dentist's reason to issue in spite of these allergies; of none where nobody has asked."""

    reason: str
    allergy_ids: Collection[UUID]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be prescribed to whom."""

    patient_id: UUID
    clinic_id: UUID
    treatment_id: UUID | None
    content: Content
    waiver: Waiver | None


@dataclass(frozen=True, slots=True)
class Issued:
    """A prescription as it is read."""

    row: Row
    content: Content
    override: Override | None
    cancel_reason: str | None


def issue(wanted: Wanted, by: Caller) -> Issued:
    """Issue it, if nothing speaks against it or a dentist says why it is issued anyway.

    Raises AllergyConflict, AllergiesUnknown, NotFound, PersonErased, Unavailable.
    """
    person = by.person
    must_be_patient("treatment", wanted.patient_id)
    for _ in range(_LOOKS):
        told = ask_if_needed(wanted.patient_id, person)

        def work(tx: Tx, told: Told | None = told) -> Issued | Conflict:
            return _issue(tx, wanted, person, told)

        try:
            found = database("treatment").transaction(work, isolation="READ COMMITTED")
        except _NotTrusted:
            continue
        if isinstance(found, Conflict):
            raise found
        return found
    raise Unavailable("The patient's record is being changed.")


def cancel(prescription_id: UUID, reason: str, by: Caller) -> Issued:
    """Take it back: it is not to be dispensed any more. It stays on record, and so does why.

    Raises NotFound, NotIssued where somebody was first, Forbidden, PersonErased.
    """

    def work(tx: Tx) -> Issued:
        patient_id = prescriptions.whose(tx, prescription_id)
        if patient_id is None:
            raise NotFound("There is no such prescription.")
        alive(tx, patient_id)
        row = prescriptions.lock(tx, prescription_id)
        if not by.has("DENTIST", row["clinic_id"]):
            raise Forbidden("This prescription is another clinic's.")
        if row["status"] != "ISSUED":
            raise NotIssued
        sealed = key_of(row).seal("cancel_reason", reason)
        prescriptions.cancel(tx, prescription_id, by=by.person, reason=sealed)
        audit.record(tx, patient_id, "write", "prescription, cancelled")
        return _read(prescriptions.show(tx, prescription_id, me=by.id, everything=True))

    return database("treatment").transaction(work, isolation="READ COMMITTED")


def show(prescription_id: UUID, *, me: UUID | None, everything: bool) -> Issued:
    """One prescription. Raises NotFound, also for who may not see it."""
    db = database("treatment")
    return _read(prescriptions.show(db, prescription_id, me=me, everything=everything))


def list_of(
    patient_id: UUID,
    query: PageQuery,
    status: Status | None,
    *,
    me: UUID | None,
    everything: bool,
) -> Page[Issued]:
    """A patient's prescriptions, newest first. Raises BadRequest."""
    (after,) = query.after(tuple[UUID]) or (None,)
    rows = prescriptions.list_of(
        database("treatment"),
        patient_id,
        me=me,
        everything=everything,
        status=status,
        after=after,
        limit=query.limit + 1,
    )
    return Page.of(rows, query.limit, lambda row: (row["prescription_id"],), _read)


def _issue(tx: Tx, wanted: Wanted, by: UUID, told: Told | None) -> Issued | Conflict:
    patient_id = wanted.patient_id
    alive(tx, patient_id)
    key = vault("treatment").new_subject(tx, patient_id)
    if told is not None:
        replicas.keep(tx, key, told)
    row = replicas.lock(tx, patient_id)
    if row is None or not replicas.trusted(row, clock().now()):
        raise _NotTrusted
    listed = replicas.listed(row, key)
    met = conflicts(wanted.content.drug, listed.allergies)
    refusal = _refusal(wanted.waiver, met, unknown=listed.status == "UNKNOWN")
    if refusal is not None:
        # The refusal shows what somebody is allergic to; that somebody looked stays on record.
        audit.record(tx, patient_id, "read", "allergies")
        tx.keep()
        return refusal
    _check_plan(tx, wanted)
    override = None
    if wanted.waiver is not None and (met or listed.status == "UNKNOWN"):
        override = Override(wanted.waiver.reason, met)
    prescription_id = uuid7()
    prescriptions.insert(
        tx,
        key,
        wanted.content,
        override,
        {
            "prescription_id": prescription_id,
            "patient_id": patient_id,
            "clinic_id": wanted.clinic_id,
            "treatment_id": wanted.treatment_id,
            "prescriber_id": by,
            "allergies_version": row["version"],
        },
    )
    audit.record(tx, patient_id, "create", "prescription")
    if override is not None:
        audit.record(tx, patient_id, "create", "prescription, allergies overridden")
    tx.emit(
        PrescriptionIssued(
            prescription_id=prescription_id, patient_id=patient_id, clinic_id=wanted.clinic_id
        ),
        version=1,
    )
    return _read(prescriptions.show(tx, prescription_id, me=by, everything=True))


def _refusal(waiver: Waiver | None, met: list[Conflicting], *, unknown: bool) -> Conflict | None:
    """What speaks against it and was not waived: an override covers what the dentist has seen."""
    if unknown:
        return None if waiver else AllergiesUnknown()
    waived = set(waiver.allergy_ids) if waiver else set()
    if all(one.allergy.allergy_id in waived for one in met):
        return None
    return AllergyConflict(conflicts=[shown(one) for one in met])


def _check_plan(tx: Tx, wanted: Wanted) -> None:
    if wanted.treatment_id is None:
        return
    found = plans.whose(tx, wanted.treatment_id)
    if found is None or found["patient_id"] != wanted.patient_id:
        raise NotFound("The patient has no such treatment plan.")


def _read(row: Row | None) -> Issued:
    if row is None:
        raise NotFound("There is no such prescription.")
    key = key_of(row)
    return Issued(
        row,
        prescriptions.read_content(row, key),
        prescriptions.read_override(row, key),
        key.unseal("cancel_reason", row["cancel_reason"]),
    )
