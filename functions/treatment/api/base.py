"""What all of treatment's routes share."""

from __future__ import annotations

from uuid import UUID

from functions.treatment.store.plans import Viewer
from shared import audit
from shared.access import GROUP
from shared.errors import Forbidden
from shared.http import Api
from shared.identity import Caller

__all__ = ["api", "must_say_what_for", "sees_everything", "viewer"]

api = Api("treatment", prefix="/api/treatments")


def sees_everything(caller: Caller) -> bool:
    """Dentists, and an ADMIN of the group who states a purpose (X-Purpose-Of-Use) and is then the
    only one who sees what a law still holds of somebody who was erased."""
    return caller.has("DENTIST") or audit.lifted()


def must_say_what_for(caller: Caller, patient_id: UUID, *roles: str) -> None:
    """Raises Forbidden for an ADMIN who is neither the patient nor has one of ``roles``, and states
    no purpose."""
    mine = caller.is_owner(patient_id) or any(caller.has(role) for role in roles)
    if not (mine or audit.lifted()):
        raise Forbidden("Say what for: X-Purpose-Of-Use.")


def viewer(caller: Caller) -> Viewer:
    """Whose plans ``caller`` may see: patients their own, reception its clinics', and dentists,
    who share the group's record, everybody's."""
    everything = sees_everything(caller) or caller.has("RECEPTIONIST", GROUP)
    desks = tuple(
        UUID(place)
        for place, held in caller.clinics.items()
        if place != GROUP and "RECEPTIONIST" in held
    )
    return Viewer(caller.id, desks, everything)
