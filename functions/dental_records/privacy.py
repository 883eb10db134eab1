"""What dental_records knows about people."""

from __future__ import annotations

from functions.dental_records.store.facts import CHARTS
from shared.event_export import exported
from shared.privacy import Hold, Personal, Privacy

__all__ = ["privacy"]

# A chart is kept as a whole, from its last entry on, and what is computed from it as long.
_LAST_ENTRY = (
    "(select max(last.recorded_at) from events last"
    " where last.category = 'tooth_chart' and last.id = {})"
)


def _of(column: str) -> Hold:
    return Hold("dental_record", since=_LAST_ENTRY.format(column))


privacy = Privacy(
    tables=(
        *(
            Personal(f"{table}_{side}", person="patient_id", hold=_of("patient_id"))
            for table in ("tooth_problems", "tooth_interventions")
            for side in "ab"
        ),
        # Sealed with the person's key, which goes when no law holds the chart.
        Personal("events", erase="keep", show=exported(CHARTS), hold=_of("events.id")),
    ),
    impersonal=frozenset({"code_systems", "codes"}),
)
