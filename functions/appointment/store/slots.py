"""Whose time is taken: by appointments that stand, and by offers that wait for an answer.

The exclusion constraints of ``slots_taken`` decide who gets a slot; nothing that was read before
does. ``take`` never fails on one, it says False: the transaction goes on, and since nobody waits
for anybody with a row of their own in the way, a race for one slot ends without a deadlock. Use
READ COMMITTED: the next statement then sees who was first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from functions.appointment.domain.hours import Span
from shared.db import Row, Tx
from shared.wire import Statement

__all__ = ["Kind", "Slot", "alone", "release", "release_all", "slot_of", "take", "taken"]

Kind = Literal["APPOINTMENT", "OFFER"]

_TAKE = """
insert into slots_taken (slot_id, kind, clinic_id, practitioner_id, patient_id, chair_id,
                         starts_at, ends_at)
values (:slot_id, :kind, :clinic_id, :practitioner_id, :patient_id, :chair_id::uuid,
        :starts_at, :ends_at)
on conflict do nothing
"""
_COLUMNS = "slot_id, kind, clinic_id, practitioner_id, patient_id, chair_id, starts_at, ends_at"


@dataclass(frozen=True, slots=True)
class Slot:
    """The time of a practitioner, a patient and perhaps a chair."""

    slot_id: UUID
    """The id of the appointment or of the offer that has it."""
    kind: Kind
    clinic_id: UUID
    practitioner_id: UUID
    patient_id: UUID
    chair_id: UUID | None
    starts_at: datetime
    ends_at: datetime

    @property
    def span(self) -> Span:
        """When it is."""
        return Span(self.starts_at, self.ends_at)

    @property
    def columns(self) -> dict[str, Any]:
        """Its row."""
        return {name: getattr(self, name) for name in _COLUMNS.split(", ")}


def alone(*practitioners: UUID) -> Statement:
    """Lets one transaction at a time that holds slots while it waits for others (a move, a series)
    be at the slots of these practitioners: two of them could wait for each other, and only after a
    second would PostgreSQL end one. Who only takes one slot does not need it."""
    return Statement(
        "select pg_advisory_xact_lock(hashtextextended('slots ' || id, 0))"
        " from (select distinct id from unnest(:ids::text[]) as id order by id) as ordered",
        {"ids": [str(practitioner) for practitioner in practitioners]},
    )


def take(tx: Tx, slot: Slot) -> bool:
    """Take ``slot``, under READ COMMITTED; False where the practitioner, the patient or the chair
    has no time (or ``slot_id`` has a slot already). It waits for whoever is about to take or free
    the same time."""
    return tx.run(_TAKE, **slot.columns) == 1


def release(tx: Tx, slot_id: UUID) -> Slot | None:
    """Free the slot, and say which that was; None if there was none (any more). Whoever frees
    one for good calls ``store.hooks.freed``."""
    row = tx.one(
        f"delete from slots_taken where slot_id = :slot_id returning {_COLUMNS}",  # nosec B608
        slot_id=slot_id,
    )
    return None if row is None else slot_of(row)


def release_all(tx: Tx, patient_id: UUID) -> list[Slot]:
    """Free whatever is taken for a patient, and say what that was."""
    rows = tx.all(
        f"delete from slots_taken where patient_id = :patient_id returning {_COLUMNS}",  # nosec B608
        patient_id=patient_id,
    )
    return [slot_of(row) for row in rows]


def taken(tx: Tx, practitioner_id: UUID, span: Span) -> list[Span]:
    """When the practitioner has no time within ``span``."""
    rows = tx.all(
        "select starts_at, ends_at from slots_taken"
        " where int8range(practitioner_key, practitioner_key, '[]')"
        "       && int8range(slot_key(:practitioner_id), slot_key(:practitioner_id), '[]')"
        "   and tstzrange(starts_at, ends_at) && tstzrange(:since, :until)",
        practitioner_id=practitioner_id,
        since=span.start,
        until=span.end,
    )
    return [Span(row["starts_at"], row["ends_at"]) for row in rows]


def slot_of(row: Row) -> Slot:
    """The slot in a row."""
    return Slot(**{name: row[name] for name in _COLUMNS.split(", ")})
