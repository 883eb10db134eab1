"""What treatment consumes: who is a patient, and what was done to teeth."""

from __future__ import annotations

from functions.treatment.service import performed
from functions.treatment.store.items import Intervention
from shared.contracts.dental_records import ToothInterventionPerformed, ToothRecordCorrected
from shared.db import Tx
from shared.errors import Reject
from shared.inbox import Subscriptions
from shared.known_people import follow_patients
from shared.messages import Metadata

__all__ = ["on"]

on = Subscriptions("treatment")

follow_patients(on)


@on(ToothInterventionPerformed)
def complete_item(event: ToothInterventionPerformed, tx: Tx, meta: Metadata) -> None:
    """An item of a plan is done, if it was done for one."""
    if event.treatment_item_id is None:
        return
    said = Intervention(
        event.intervention_id,
        event.patient_id,
        event.treatment_item_id,
        _version(meta),
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
        _version(meta),
        in_error=event.entered_in_error,
        performed_at=None,
    )
    performed.hear(said, tx)


def _version(meta: Metadata) -> int:
    if meta.aggregate_version is None:
        raise Reject("a record without the version it is from")
    return meta.aggregate_version
