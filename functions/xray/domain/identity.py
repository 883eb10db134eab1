"""Is this file about that patient? Two identifiers decide, and nothing may contradict.

The Joint Commission's NPSG.01.01.01 asks for two identifiers wherever something is given to a
patient; a file that is put into a record is no less.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from functions.xray.domain.description import Claim
from shared.national_ids import NationalId
from shared.types import fold

__all__ = ["Doubt", "Identity", "doubts"]

Doubt = Literal["PATIENT_ID", "NAME", "BIRTH_DATE", "UNIDENTIFIED"]
"""Which of the file's words contradict the profile; or that they do not identify anybody."""


@dataclass(frozen=True)
class Identity:
    """The patient, as patient's service knows them."""

    patient_id: UUID
    first_name: str
    last_name: str
    birth_date: date | None
    national_id: str | None


def doubts(claim: Claim, patient: Identity) -> list[Doubt]:
    """What speaks against ``claim`` being about ``patient``; nothing: it is.

    The id of the patient, or their national id, identifies alone; name and birth date do so
    together. A number that only the imaging software knows says nothing. What is there and
    contradicts is a doubt in any case.
    """
    found: list[Doubt] = []
    same_id = _same_id(claim.patient_id, patient)
    if same_id is False:
        found.append("PATIENT_ID")
    same_name = _same_name(claim.name, patient)
    if same_name is False:
        found.append("NAME")
    same_day = None
    if claim.birth_date is not None and patient.birth_date is not None:
        same_day = claim.birth_date == patient.birth_date
    if same_day is False:
        found.append("BIRTH_DATE")
    if not found and not same_id and not (same_name and same_day):
        found.append("UNIDENTIFIED")
    return found


def _same_id(text: str, patient: Identity) -> bool | None:
    """None where it is no id that we know of."""
    given = text.strip().lower()
    if given in (str(patient.patient_id), patient.patient_id.hex):
        return True
    if patient.national_id is not None and given == patient.national_id:
        return True
    try:
        UUID(given)
    except ValueError:
        pass
    else:
        return False
    try:
        NationalId.parse(given)
    except ValueError:
        return None
    # Somebody's national id: a contradiction only where ours is known.
    return False if patient.national_id is not None else None


def _same_name(text: str, patient: Identity) -> bool | None:
    """Every word of the shorter name is one of the longer; None where none is given. The groups of
    a name in several scripts (PS3.5 6.2.1.1) are told apart by =."""
    ours = set(fold(f"{patient.first_name} {patient.last_name}").split())
    groups = [set(fold(" ".join(g.split("^")[:3])).split()) for g in text.split("=")]
    given = [group for group in groups if group]
    if not given:
        return None
    return any(min(len(g), len(ours)) > 1 and (g <= ours or ours <= g) for g in given) or any(
        g == ours for g in given
    )
