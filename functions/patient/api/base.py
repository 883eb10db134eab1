"""What all of patient's routes share."""

from __future__ import annotations

from shared.access import GROUP, owner, roles
from shared.http import Api

__all__ = ["OVERSIGHT", "api"]

api = Api("patient", prefix="/api/patients")

OVERSIGHT = owner("patient_id") | roles("ADMIN", clinic=GROUP)
"""Who may see what became of a record: its person, and an ADMIN of the group."""
