"""Whose appointments somebody may see and change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.access import STAFF
from shared.identity import EVERYWHERE, Caller

__all__ = ["NOBODY_BOUND", "Scope"]


@dataclass(frozen=True, slots=True)
class Scope:
    """A person's own appointments, and those of the clinics where they are staff."""

    person: UUID | None
    clinics: tuple[UUID, ...] = ()
    everywhere: bool = False

    @classmethod
    def of(cls, caller: Caller, *roles: str) -> Scope:
        """What ``caller`` may reach; as staff with one of ``roles`` (of all by default)."""
        named = roles or STAFF
        places = [place for place, held in caller.clinics.items() if not held.isdisjoint(named)]
        own = tuple(UUID(place) for place in places if place != EVERYWHERE)
        return cls(caller.id, own, EVERYWHERE in places)

    def staff_at(self, clinic_id: UUID) -> bool:
        """Does the person work at this clinic?"""
        return self.everywhere or clinic_id in self.clinics

    def reaches(self, patient_id: UUID, clinic_id: UUID) -> bool:
        """Is it about the person, or about a clinic where they work?"""
        return self.person == patient_id or self.staff_at(clinic_id)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of statements that are bound to it."""
        return {
            "person": self.person,
            "clinics": list(self.clinics),
            "everywhere": self.everywhere,
        }


NOBODY_BOUND = Scope(None, everywhere=True)
"""For what the service does by itself, or for a link that says who may."""
