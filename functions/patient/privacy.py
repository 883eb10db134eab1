"""What patient knows about people."""

from __future__ import annotations

from functions.patient.store.history import STORE
from shared.event_export import exported
from shared.privacy import Personal, Privacy

__all__ = ["privacy"]

_TOLD = ("allergies", "chronic_conditions", "medications", "notes")

privacy = Privacy(
    tables=(
        Personal("patient_words", person="patient_id"),
        Personal("patient_anamnesis", person="patient_id", sealed={name: name for name in _TOLD}),
        Personal(
            "patient_allergies",
            person="patient_id",
            sealed={name: name for name in ("status", "allergies")},
        ),
        Personal(
            "patients",
            person="patient_id",
            plain=("patient_id", "email", "first_name", "last_name", "language", "created_at"),
            sealed={name: name for name in ("national_id", "phone", "birth_date")},
        ),
        Personal("early_emails", person="patient_id", plain=("email", "received_at")),
        Personal("removed_patients", person="patient_id", erase="keep"),
        # Sealed with the person's key, which the erasure deletes.
        Personal("events", erase="keep", show=exported(STORE)),
    ),
    emails="select patient_id as person_id, email from patients",
)
