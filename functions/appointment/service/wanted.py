"""What a request and a wish have in common: a type, perhaps a practitioner, and windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from functions.appointment.domain.hours import Span
from functions.appointment.domain.refusals import NotBookable
from functions.appointment.service.finding import FARTHEST
from functions.appointment.store import schedule
from shared.clocks import clock
from shared.db import Tx
from shared.errors import Invalid, NotFound
from shared.known_people import must_be_patient

__all__ = ["Wanted", "check"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a patient would like, and when it would suit."""

    patient_id: UUID
    clinic_id: UUID
    type_id: UUID
    practitioner_id: UUID | None
    windows: Sequence[Span]

    @property
    def columns(self) -> dict[str, Any]:
        """Its ids, by their columns."""
        return {
            "patient_id": self.patient_id,
            "clinic_id": self.clinic_id,
            "type_id": self.type_id,
            "practitioner_id": self.practitioner_id,
        }

    def check_before(self) -> None:
        """Before the transaction. Raises Invalid for windows that are over or too far ahead,
        NotFound (patient), PersonErased, Unavailable."""
        now = clock().now()
        errors = [
            {"pointer": f"/windows/{number}", "detail": "From now on, and within two years"}
            for number, window in enumerate(self.windows)
            if window.end <= now or window.end > now + FARTHEST
        ]
        if errors:
            raise Invalid(errors=errors)
        must_be_patient("appointment", self.patient_id)


def check(tx: Tx, wanted: Wanted) -> None:
    """The clinic offers it, and the practitioner works there. Raises NotFound, NotBookable."""
    kind = schedule.show(tx, "appointment_types", wanted.clinic_id, wanted.type_id)
    if kind is None:
        raise NotFound("There is no such type of appointment.")
    works = wanted.practitioner_id is None or (
        schedule.show(tx, "practitioners", wanted.clinic_id, wanted.practitioner_id) or {}
    ).get("active")
    if not kind["active"] or not works:
        raise NotBookable
