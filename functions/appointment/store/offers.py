"""The SQL of freed time and of who is offered it.

Whoever changes an offer has locked its freed time first, so that each is handed on by one at a
time; what an open offer holds is its row in ``slots_taken``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.appointment.domain.hours import Span
from functions.appointment.store import windows as stretches
from functions.appointment.store.scope import mine
from shared import audit
from shared.db import Database, Row, Tx
from shared.types import uuid7

__all__ = [
    "due",
    "end",
    "insert",
    "lock_freed",
    "look_again",
    "look_for",
    "look_for_patient",
    "note_freed",
    "open_in",
    "open_of",
    "show",
    "whose",
]

_NOTE = """
insert into waitlist_slots (freed_id, clinic_id, practitioner_id, starts_at, ends_at, look_at)
values (:freed_id, :clinic_id, :practitioner_id, :starts_at, :ends_at, :now)
on conflict (clinic_id, practitioner_id, starts_at, ends_at) do update set look_at = :now
returning freed_id
"""
_INSERT = """
insert into waitlist_offers (offer_id, freed_id, wish_id, patient_id, clinic_id, practitioner_id,
                             type_id, starts_at, ends_at, made_at, expires_at)
values (:offer_id, :freed_id, :wish_id, :patient_id, :clinic_id, :practitioner_id,
        :type_id, :starts_at, :ends_at, :made_at, :expires_at)
on conflict do nothing
"""
_COLUMNS = """
select o.offer_id, o.version, o.freed_id, o.wish_id, o.patient_id, o.clinic_id, o.practitioner_id,
       o.type_id, o.starts_at, o.ends_at, o.status, o.made_at, o.expires_at, c.time_zone,
       c.name as clinic_name, a.appointment_id, a.status as appointment_status,
       a.starts_at as appointment_at
  from waitlist_offers o
  join clinics c on c.clinic_id = o.clinic_id
  join waitlist_wishes w on w.wish_id = o.wish_id
  left join appointments a on a.appointment_id = w.appointment_id and o.status = 'ACCEPTED'
"""
_SHOW = audit.audited(
    f"{_COLUMNS} where o.offer_id = :offer_id and {mine('o')}",
    action="read",
    what="waitlist offer",
    person="patient_id",
)
_END = """
update waitlist_offers set version = version + 1, status = :status, ended_at = :at
 where offer_id = :offer_id and status = 'OPEN' returning version
"""
_LOOK_FOR = """
update waitlist_slots set look_at = :now
 where clinic_id = :clinic_id and look_at > :now
   and (:practitioner_id::uuid is null or practitioner_id = :practitioner_id::uuid)
   and :windows::tstzmultirange && tstzrange(starts_at, ends_at)
"""

_LOOK_FOR_PATIENT = """
update waitlist_slots s set look_at = :now
  from waitlist_wishes w
 where w.patient_id = :patient_id and w.status = 'WAITING'
   and s.clinic_id = w.clinic_id and s.look_at > :now
   and (w.practitioner_id is null or w.practitioner_id = s.practitioner_id)
   and w.windows && tstzrange(s.starts_at, s.ends_at)
returning s.freed_id
"""


def note_freed(tx: Tx, clinic_id: UUID, practitioner_id: UUID, span: Span, now: datetime) -> UUID:
    """The freed time, to be looked at from ``now`` on."""
    found: UUID = tx.value(
        _NOTE,
        freed_id=uuid7(),
        clinic_id=clinic_id,
        practitioner_id=practitioner_id,
        starts_at=span.start,
        ends_at=span.end,
        now=now,
    )
    return found


def due(db: Database, now: datetime) -> list[UUID]:
    """Up to 100 freed times that are to be looked at."""
    rows = db.all(
        "select freed_id from waitlist_slots where look_at <= :now"
        " order by look_at, starts_at, practitioner_id limit 100",
        now=now,
    )
    return [row["freed_id"] for row in rows]


def lock_freed(tx: Tx, freed_id: UUID) -> Row | None:
    """freed_id, clinic_id, practitioner_id, starts_at, ends_at, look_at: for this transaction
    alone."""
    return tx.one("select * from waitlist_slots where freed_id = :id for update", id=freed_id)


def look_again(tx: Tx, freed_id: UUID, at: datetime | None) -> None:
    """When to look at the freed time next; None: never."""
    tx.run("update waitlist_slots set look_at = :at where freed_id = :id", id=freed_id, at=at)


def look_for(
    tx: Tx,
    clinic_id: UUID,
    practitioner_id: UUID | None,
    windows: list[Span],
    now: datetime,
) -> int:
    """Have those freed times looked at that somebody who waits could like; how many."""
    return tx.run(
        _LOOK_FOR,
        clinic_id=clinic_id,
        practitioner_id=practitioner_id,
        windows=stretches.literal(windows),
        now=now,
    )


def look_for_patient(db: Database, patient_id: UUID, now: datetime) -> None:
    """``look_for`` what the patient waits for. In a statement of its own: it locks freed times in
    any order."""
    db.all(_LOOK_FOR_PATIENT, patient_id=patient_id, now=now)


def insert(tx: Tx, columns: dict[str, Any]) -> bool:
    """A new offer; False where the patient was offered this before, or the wish has another."""
    return tx.run(_INSERT, **columns) == 1


def show(source: Database | Tx, offer_id: UUID, scope: Mapping[str, Any]) -> Row | None:
    """One offer where it is in ``scope``, with its clinic's name and time zone and its wish's
    appointment; audited."""
    return source.one(_SHOW, offer_id=offer_id, **scope, **audit.who())


def open_of(tx: Tx, wish_id: UUID) -> Row | None:
    """offer_id and freed_id of the offer that the wish has."""
    return tx.one(
        "select offer_id, freed_id from waitlist_offers where wish_id = :id and status = 'OPEN'",
        id=wish_id,
    )


def whose(tx: Tx, offer_id: UUID) -> Row | None:
    """patient_id and freed_id of an offer; they never change."""
    return tx.one(
        "select patient_id, freed_id from waitlist_offers where offer_id = :id", id=offer_id
    )


def open_in(tx: Tx, freed_id: UUID) -> list[Row]:
    """offer_id, wish_id, patient_id, expires_at of the open offers of a freed time."""
    return tx.all(
        "select offer_id, wish_id, patient_id, expires_at from waitlist_offers"
        " where freed_id = :id and status = 'OPEN' order by expires_at for update",
        id=freed_id,
    )


def end(tx: Tx, offer_id: UUID, status: str, at: datetime) -> int | None:
    """End an open offer: its new version, or None where it is open no more."""
    found: int | None = tx.value(_END, offer_id=offer_id, status=status, at=at)
    return found
