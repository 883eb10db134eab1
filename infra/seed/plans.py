"""The past of treatment: plans with what the patient said and what was done of them, and
prescriptions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast
from uuid import UUID

from pydantic import TypeAdapter

from functions.dental_records.domain.chart import Procedure
from functions.treatment.domain import plans as rules
from functions.treatment.domain.allergies import Drug
from functions.treatment.domain.plans import Item, Phase, Plan, Priced, Status
from functions.treatment.domain.prescriptions import Content, Dose, Duration, Route, Timing
from functions.treatment.store.prescriptions import Override
from infra.seed.bulk import Batch, Patient
from infra.seed.charts import Done, done, intervention_id, item_id, problem_id
from infra.seed.mouth import Finding, Planned, Prescribed
from infra.seed.words import PROCEDURES, TITLES

__all__ = ["collect", "prescription_id", "treatment_id"]

_PLAN, _CONTENT, _OVERRIDE = TypeAdapter(Plan), TypeAdapter(Content), TypeAdapter(Override)
# The list of allergies is UNKNOWN until somebody writes it, so every prescription says who asked.
_ASKED = Override("Asked by the prescriber: no allergy to this drug is known.", ())
_TAKEN_BACK = "Prescribed twice."


def collect(batch: Batch, people: Sequence[Patient]) -> None:
    """What is missing of these people's plans and prescriptions."""
    plans = {treatment_id(who, plan): (who, plan) for who in people for plan in who.mouth.plans}
    told = {who.patient_id: done(who) for who in people}
    for who, plan in batch.missing("treatments", "treatment_id", plans):
        _treatment(batch, who, plan, told[who.patient_id])
    issued = {
        prescription_id(who, each): (who, each) for who in people for each in who.mouth.prescribed
    }
    for who, each in batch.missing("prescriptions", "prescription_id", issued):
        _prescription(batch, who, each)


def treatment_id(who: Patient, plan: Planned) -> UUID:
    """Of a plan."""
    return who.id("treatment", plan.turn, plan.at)


def prescription_id(who: Patient, each: Prescribed) -> UUID:
    """Of a prescription."""
    return who.id("prescription", each.turn, each.at)


def _treatment(batch: Batch, who: Patient, plan: Planned, told: list[Done]) -> None:
    identity, key, clinic = treatment_id(who, plan), batch.key(who), who.desk.clinic
    content = _content(who, plan, told)
    items = list(content.items())
    performed = {each.item_id: each for each in told if each.item_id is not None}
    tally = [Priced(item.price, item.item_id in performed) for item in items]
    status = _status(plan, tally)
    decided = plan.at + timedelta(minutes=20)
    mine = [performed[item.item_id] for item in items if item.item_id in performed]
    batch.add(
        "treatments",
        treatment_id=identity,
        patient_id=who.patient_id,
        clinic_id=clinic.clinic_id,
        version=1 + (plan.wanted is not None) + len(mine),
        plan_version=1,
        status=status,
        currency=clinic.currency,
        created_at=plan.at,
        updated_at=max([plan.at if plan.wanted is None else decided, *(each.at for each in mine)]),
    )
    batch.add(
        "treatment_versions",
        treatment_id=identity,
        plan_version=1,
        patient_id=who.patient_id,
        plan=key.seal("plan", _PLAN.dump_json(content).decode()),
        made_by=who.dentist,
        made_at=plan.at,
    )
    for item in items:
        batch.add(
            "treatment_items",
            item_id=item.item_id,
            treatment_id=identity,
            patient_id=who.patient_id,
            price=item.price,
            current=True,
        )
    batch.note(who, "create", "treatment plan")
    if plan.wanted is not None:
        _decision(batch, who, plan, decided)
    for each in mine:
        batch.add(
            "item_interventions",
            intervention_id=intervention_id(who, each.deed),
            patient_id=who.patient_id,
            item_id=each.item_id,
            version=each.version,
            in_error=False,
            performed_at=each.at,
        )


def _status(plan: Planned, tally: list[Priced]) -> Status:
    if plan.wanted is None:
        return "OFFERED"
    if not plan.wanted:
        return "DECLINED"
    return rules.after_items("ACCEPTED", all_done=rules.all_done(tally))


def _content(who: Patient, plan: Planned, told: list[Done]) -> Plan:
    """An item for each finding that it is about; for somebody without one, a cleaning."""
    title = TITLES[who.year.language]
    chosen = {each.deed.turn: each.deed.procedure for each in told}
    items = [_item(who, who.mouth.findings[at], chosen) for at in plan.findings]
    if not items:
        identity = who.id("cleaning", plan.turn, plan.at)
        items = [Item(identity, "CLEANING", who.desk.clinic.price(PROCEDURES["CLEANING"]))]
    return Plan(title, (Phase(title, tuple(items)),))


def _item(who: Patient, finding: Finding, chosen: dict[int, Procedure]) -> Item:
    procedure = chosen.get(finding.turn, finding.disease.cures[0])
    filled = procedure in ("FILLING", "SEALANT", "INLAY")
    return Item(
        item_id(who, finding.turn),
        procedure,
        who.desk.clinic.price(PROCEDURES[procedure]),
        tooth=finding.tooth,
        surfaces=finding.surfaces if filled else (),
        problem_id=problem_id(who, finding),
    )


def _decision(batch: Batch, who: Patient, plan: Planned, at: datetime) -> None:
    batch.add(
        "treatment_decisions",
        decision_id=who.id("decision", plan.turn, at),
        treatment_id=treatment_id(who, plan),
        plan_version=1,
        patient_id=who.patient_id,
        decision="ACCEPTED" if plan.wanted else "DECLINED",
        how="PAPER" if plan.on_paper else "PATIENT",
        recorded_by=who.receptionist if plan.on_paper else who.patient_id,
        decided_at=at,
        recorded_at=at,
    )
    batch.note(who, "write", "consent on paper" if plan.on_paper else "consent")


def _prescription(batch: Batch, who: Patient, each: Prescribed) -> None:
    key, drug = batch.key(who), each.drug
    content = Content(
        drug=Drug(drug.name, drug.code),
        form=drug.form,
        strength=drug.strength,
        dose=Dose(Decimal(15 if drug.unit == "ml" else 1), drug.unit),
        route=cast("Route", drug.route),
        timing=Timing(drug.times, 1, "d"),
        duration=Duration(drug.days, "d"),
    )
    taken_back = each.at + timedelta(minutes=30) if each.cancelled else None
    batch.add(
        "prescriptions",
        prescription_id=prescription_id(who, each),
        patient_id=who.patient_id,
        clinic_id=who.desk.clinic.clinic_id,
        prescriber_id=who.dentist,
        version=2 if each.cancelled else 1,
        status="CANCELLED" if each.cancelled else "ISSUED",
        content=key.seal("content", _CONTENT.dump_json(content).decode()),
        allergies_version=1,
        override=key.seal("override", _OVERRIDE.dump_json(_ASKED).decode()),
        issued_at=each.at,
        cancelled_at=taken_back,
        cancelled_by=who.dentist if each.cancelled else None,
        cancel_reason=key.seal("cancel_reason", _TAKEN_BACK if each.cancelled else None),
    )
    batch.note(who, "create", "prescription", "prescription, allergies overridden")
    if each.cancelled:
        batch.note(who, "write", "prescription, cancelled")
