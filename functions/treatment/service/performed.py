"""What dental_records says was done, or was entered in error, for an item of a plan."""

from __future__ import annotations

from functions.treatment.service import plans
from functions.treatment.store import items
from functions.treatment.store.items import Intervention
from shared.db import Tx

__all__ = ["hear"]


def hear(said: Intervention, tx: Tx) -> None:
    """Keep what was said, whatever comes first, and bring the plans up to date that it concerns.

    An item that is not known here (yet) is remembered: it counts as done when it comes.
    """
    items.turn(tx, said.patient_id)
    touched = items.hear(tx, said)
    for treatment_id in items.plans_with(tx, said.patient_id, touched):
        plans.complete(tx, treatment_id)
