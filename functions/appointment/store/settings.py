"""How each clinic wants its offers and reminders."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.db import Database, Row, Tx

__all__ = ["change", "show"]

_SHOW = """
select c.clinic_id, c.time_zone, coalesce(s.version, 0) as version,
       coalesce(s.offer_minutes, 30) as offer_minutes,
       coalesce(s.reminder_hours, '{48,2}') as reminder_hours
  from clinics c left join clinic_settings s on s.clinic_id = c.clinic_id
 where c.clinic_id = :clinic_id
"""
# Version 0 is a clinic that has no row yet: of two who make it at once, one finds the other's.
_MAKE = """
insert into clinic_settings (clinic_id, offer_minutes, reminder_hours)
select :clinic_id, :offer_minutes, :reminder_hours where :version = 0
on conflict (clinic_id) do nothing returning version
"""
_CHANGE = """
update clinic_settings
   set version = version + 1, offer_minutes = :offer_minutes, reminder_hours = :reminder_hours
 where clinic_id = :clinic_id and version = :version returning version
"""


def show(source: Database | Tx, clinic_id: UUID) -> Row | None:
    """clinic_id, time_zone, version, offer_minutes, reminder_hours; None for an unknown clinic."""
    return source.one(_SHOW, clinic_id=clinic_id)


def change(
    tx: Tx, clinic_id: UUID, version: int, *, offer_minutes: int, reminder_hours: Sequence[int]
) -> int | None:
    """Replace ``version`` (0: the defaults): the new one, or None where there is no such version.
    Raises ForeignKeyViolation."""
    found: int | None = tx.value(
        _CHANGE if version else _MAKE,
        clinic_id=clinic_id,
        version=version,
        offer_minutes=offer_minutes,
        reminder_hours=list(reminder_hours),
    )
    return found
