"""What xray knows about people."""

from __future__ import annotations

from functions.xray.store.objects import erase, originals
from shared.privacy import Hold, Personal, Privacy

__all__ = ["privacy"]

# A part of the record from then on; an upload that came to nothing is no record.
_HELD = Hold("xray", since="recorded_at")

privacy = Privacy(
    tables=(
        Personal(
            "xray_files",
            person="patient_id",
            plain=("xray_id", "kind", "content_type", "size", "sha256"),
            hold=_HELD,
        ),
        Personal(
            "xrays",
            person="patient_id",
            plain=(
                *("xray_id", "state", "content_type", "size", "sha256", "modality", "taken_at"),
                *("width", "height", "frames", "created_at", "recorded_at"),
            ),
            # The words of a file about somebody else stay with staff: they may be another's.
            sealed={"told": "told", "reason": "reason"},
            hold=_HELD,
        ),
    ),
    outside=erase,
    files=originals,
)
