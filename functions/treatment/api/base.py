"""What all of treatment's routes share."""

from __future__ import annotations

from uuid import UUID

from functions.treatment.store.plans import Viewer
from shared.access import GROUP
from shared.http import Api
from shared.identity import Caller

__all__ = ["api", "viewer"]

api = Api("treatment", prefix="/api/treatments")


def viewer(caller: Caller) -> Viewer:
    """Whose plans ``caller`` may see: patients their own, reception its clinics', and dentists,
    who share the group's record, everybody's."""
    everything = caller.has("DENTIST") or any(
        caller.has(role, GROUP) for role in ("RECEPTIONIST", "ADMIN")
    )
    desks = tuple(
        UUID(place)
        for place, held in caller.clinics.items()
        if place != GROUP and "RECEPTIONIST" in held
    )
    return Viewer(caller.id, desks, everything)
