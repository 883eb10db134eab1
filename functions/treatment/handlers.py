"""What treatment consumes: who is a patient and allergic to what, and what was done to teeth."""

from __future__ import annotations

from functions.treatment.service import allergies, performed
from functions.treatment.store.items import Intervention
from shared.contracts.dental_records import ToothInterventionPerformed, ToothRecordCorrected
from shared.contracts.patient import (
    AllergiesUpdated,
    AnamnesisUpdated,
    NationalIdCorrected,
    PatientUpdated,
)
from shared.db import Tx
from shared.inbox import Subscriptions
from shared.known_people import follow_patients
from shared.messages import Metadata

__all__ = ["on"]

on = Subscriptions("treatment")

follow_patients(on)


@on(AllergiesUpdated)
def follow_allergies(event: AllergiesUpdated, tx: Tx, meta: Metadata) -> None:
    """The replica of the list, never backwards."""
    allergies.follow(event, tx, meta)


@on(PatientUpdated)
def hear_of_profile(event: PatientUpdated, tx: Tx, meta: Metadata) -> None:
    """The record is newer, the list the same."""
    allergies.hear(event.patient_id, tx, meta)


@on(AnamnesisUpdated)
def hear_of_anamnesis(event: AnamnesisUpdated, tx: Tx, meta: Metadata) -> None:
    """The record is newer, the list the same."""
    allergies.hear(event.patient_id, tx, meta)


@on(NationalIdCorrected)
def hear_of_national_id(event: NationalIdCorrected, tx: Tx, meta: Metadata) -> None:
    """The record is newer, the list the same."""
    allergies.hear(event.patient_id, tx, meta)


@on(ToothInterventionPerformed)
def complete_item(event: ToothInterventionPerformed, tx: Tx, meta: Metadata) -> None:
    """An item of a plan is done, if it was done for one."""
    if event.treatment_item_id is None:
        return
    said = Intervention(
        event.intervention_id,
        event.patient_id,
        event.treatment_item_id,
        meta.version("a record"),
        in_error=False,
        performed_at=event.performed_at,
    )
    performed.hear(said, tx)


@on(ToothRecordCorrected)
def take_back_item(event: ToothRecordCorrected, tx: Tx, meta: Metadata) -> None:
    """What was entered in error was not done, also where this comes before what it corrects."""
    if event.record != "intervention":
        return
    said = Intervention(
        event.record_id,
        event.patient_id,
        event.treatment_item_id,
        meta.version("a record"),
        in_error=event.entered_in_error,
        performed_at=None,
    )
    performed.hear(said, tx)
