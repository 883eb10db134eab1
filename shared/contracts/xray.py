"""What xray publishes."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared.messages import Event

__all__ = ["XrayStored"]


class XrayStored(Event):
    """An image is in the patient's record, checked and readable."""

    key: ClassVar[str] = "xray_id"

    xray_id: UUID
    patient_id: UUID
    modality: str | None = None
    """DICOM's code (PS3.3 C.7.3.1.1.1), such as IO, PX, CT; None where the image says nothing."""
    teeth: list[str] = Field(default_factory=list)
    taken_at: AwareDatetime | None = None
