"""How a clinic wants its offers and reminders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from functions.appointment.service.schedule import known_clinic
from functions.appointment.store import settings
from shared.db import Row, Tx
from shared.errors import NotFound, StaleVersion
from shared.runtime import database

__all__ = ["Settings", "change", "show"]


@dataclass(frozen=True, slots=True)
class Settings:
    """``offer_minutes``: how long an offer of the waitlist waits for its answer.
    ``reminder_hours``: how long before an appointment its patient is reminded. Version 0: what
    the defaults are."""

    version: int
    offer_minutes: int
    reminder_hours: list[int]

    @classmethod
    def of(cls, row: Row) -> Self:
        """The settings in a row."""
        plain: dict[str, Any] = {name: row[name] for name in cls.__slots__}
        return cls(**plain)


def show(clinic_id: UUID) -> Settings:
    """Raises NotFound, Unavailable."""
    known_clinic(clinic_id)
    row = settings.show(database("appointment"), clinic_id)
    if row is None:
        raise NotFound("There is no such clinic.")
    return Settings.of(row)


def change(
    clinic_id: UUID, version: int, *, offer_minutes: int, reminder_hours: Sequence[int]
) -> Settings:
    """Replace ``version``. Raises NotFound, StaleVersion, Unavailable."""
    known_clinic(clinic_id)
    hours = sorted(set(reminder_hours), reverse=True)

    def work(tx: Tx) -> int:
        if settings.show(tx, clinic_id) is None:
            raise NotFound("There is no such clinic.")
        new = settings.change(
            tx, clinic_id, version, offer_minutes=offer_minutes, reminder_hours=hours
        )
        if new is None:
            raise StaleVersion
        return new

    new = database("appointment").transaction(work)
    return Settings(new, offer_minutes, hours)
