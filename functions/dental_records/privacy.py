"""What dental_records knows about people."""

from __future__ import annotations

from functions.dental_records.store.facts import CHARTS
from shared.event_export import exported
from shared.privacy import Hold, Personal, Privacy

__all__ = ["privacy"]

privacy = Privacy(
    tables=(
        # Made from the facts, and gone at once even where those are held.
        Personal("tooth_problems_a", person="patient_id"),
        Personal("tooth_problems_b", person="patient_id"),
        Personal("tooth_interventions_a", person="patient_id"),
        Personal("tooth_interventions_b", person="patient_id"),
        # Sealed with the person's key, which goes when no law holds the chart.
        Personal(
            "events",
            erase="keep",
            show=exported(CHARTS),
            hold=Hold("dental_record", since="recorded_at"),
        ),
    ),
    impersonal=frozenset({"code_systems", "codes"}),
)
