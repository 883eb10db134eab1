"""What treatment knows about people.

A plan is held as a whole, from its last entry on: its versions, items and decisions follow the row
in ``treatments``. The replica of allergies is no record of ours and is held by nothing.
"""

from __future__ import annotations

from shared.privacy import Hold, Personal, Privacy

__all__ = ["privacy"]

_PLAN = "(select t.updated_at from treatments t where t.treatment_id = {}.treatment_id)"
_ITEM = (
    "(select t.updated_at from treatment_items i join treatments t using (treatment_id)"
    " where i.item_id = item_interventions.item_id)"
)

privacy = Privacy(
    tables=(
        Personal(
            "item_interventions",
            person="patient_id",
            plain=("intervention_id", "item_id", "performed_at", "in_error"),
            hold=Hold("treatment", since=_ITEM),
        ),
        Personal(
            "treatment_items",
            person="patient_id",
            plain=("item_id", "treatment_id", "price", "current"),
            hold=Hold("treatment", since=_PLAN.format("treatment_items")),
        ),
        Personal(
            "treatment_decisions",
            person="patient_id",
            plain=("treatment_id", "plan_version", "decision", "how", "decided_at", "recorded_at"),
            sealed={"note": "note"},
            hold=Hold("treatment", since=_PLAN.format("treatment_decisions")),
        ),
        Personal(
            "treatment_versions",
            person="patient_id",
            plain=("treatment_id", "plan_version", "made_at"),
            sealed={"plan": "plan"},
            hold=Hold("treatment", since=_PLAN.format("treatment_versions")),
        ),
        Personal(
            "treatments",
            person="patient_id",
            plain=("treatment_id", "clinic_id", "status", "currency", "created_at", "updated_at"),
            hold=Hold("treatment", since="updated_at"),
        ),
        Personal("allergy_replicas", person="patient_id", sealed={"listed": "listed"}),
        Personal(
            "prescriptions",
            person="patient_id",
            plain=(
                *("prescription_id", "treatment_id", "clinic_id", "prescriber_id"),
                *("status", "issued_at", "cancelled_at"),
            ),
            sealed={name: name for name in ("content", "override", "cancel_reason")},
            hold=Hold("prescription", since="coalesce(cancelled_at, issued_at)"),
        ),
    ),
)
