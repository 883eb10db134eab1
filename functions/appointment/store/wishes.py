"""The SQL of who waits for a slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.appointment.domain.hours import Span
from functions.appointment.store import windows as stretches
from functions.appointment.store.asked import Filter, listed, shown
from shared import audit
from shared.db import Database, Row, Tx

__all__ = ["end", "expire", "insert", "listing", "lock", "show", "waiting", "whose"]

_INSERT = """
insert into waitlist_wishes
  (wish_id, patient_id, clinic_id, type_id, practitioner_id, windows, made_at)
values (:wish_id, :patient_id, :clinic_id, :type_id, :practitioner_id::uuid,
        :windows::tstzmultirange, :made_at)
"""

_COLUMNS = f"""
select w.wish_id, w.version, w.patient_id, w.clinic_id, w.type_id, w.practitioner_id,
       {stretches.SHOWN}, w.status, w.appointment_id, w.made_at, w.ended_at,
       (select jsonb_build_object('offer_id', o.offer_id, 'practitioner_id', o.practitioner_id,
                                  'starts_at', o.starts_at, 'ends_at', o.ends_at,
                                  'expires_at', o.expires_at)
          from waitlist_offers o
         where o.wish_id = w.wish_id and o.status = 'OPEN' and o.expires_at > :now) as offer
  from waitlist_wishes w
"""  # nosec B608

_SHOW = shown(_COLUMNS, "w", "wish_id", "waitlist wish")
_LISTING = listed(_COLUMNS, "w", "wish_id", "waitlist wish")

# In the order in which they are offered the slot: domain/waitlist.py says why it is this one.
_WAITING = f"""
select w.wish_id, w.patient_id, w.type_id, {stretches.SHOWN}, t.duration_minutes,
       (select coalesce(jsonb_agg(o.starts_at), '[]') from waitlist_offers o
         where o.patient_id = w.patient_id and o.practitioner_id = :practitioner_id
           and o.starts_at >= :starts_at and o.starts_at < :ends_at) as offered
  from waitlist_wishes w
  join appointment_types t on t.type_id = w.type_id and t.active
  join clinics c on c.clinic_id = w.clinic_id
 where w.clinic_id = :clinic_id and w.status = 'WAITING'
   and (w.practitioner_id is null or w.practitioner_id = :practitioner_id)
   and w.windows && tstzrange(:starts_at, :ends_at)
   and make_interval(mins => t.duration_minutes) <= :ends_at::timestamptz - :starts_at::timestamptz
   and not exists (select from waitlist_offers o
                    where o.wish_id = w.wish_id and o.status = 'OPEN')
 order by (w.made_at at time zone c.time_zone)::date, upper(w.windows), w.made_at, w.wish_id
"""  # nosec B608

_EXPIRE = """
update waitlist_wishes w
   set version = version + 1, status = 'EXPIRED', ended_at = :now
 where w.status = 'WAITING' and upper(w.windows) <= :now
   and not exists (select from waitlist_offers o
                    where o.wish_id = w.wish_id and o.status = 'OPEN')
returning w.patient_id
"""


def insert(tx: Tx, columns: dict[str, Any], windows: Sequence[Span]) -> None:
    """A new wish. Raises ForeignKeyViolation."""
    tx.run(_INSERT, **columns, windows=stretches.literal(windows))


def show(
    source: Database | Tx, wish_id: UUID, scope: Mapping[str, Any], now: datetime
) -> Row | None:
    """One wish where it is in ``scope``, and the offer it has now; audited."""
    return source.one(_SHOW, wish_id=wish_id, now=now, **scope, **audit.who())


def whose(tx: Tx, wish_id: UUID) -> Row | None:
    """patient_id and clinic_id; they never change."""
    return tx.one(
        "select patient_id, clinic_id from waitlist_wishes where wish_id = :id", id=wish_id
    )


def lock(tx: Tx, wish_id: UUID) -> Row | None:
    """Its ids, version and status, for this transaction alone."""
    return tx.one(
        "select wish_id, version, patient_id, clinic_id, status from waitlist_wishes"
        " where wish_id = :id for update",
        id=wish_id,
    )


def listing(
    db: Database, wanted: Filter, after: tuple[datetime, UUID] | None, limit: int, now: datetime
) -> list[Row]:
    """Wishes in the order in which they were made; audited."""
    return db.all(_LISTING, **wanted.params(after, limit), now=now)


def waiting(tx: Tx, clinic_id: UUID, practitioner_id: UUID, freed: Span) -> list[Row]:
    """Whoever may get a slot of the practitioner within ``freed``, the first first: wish_id,
    patient_id, type_id, duration_minutes, windows, offered (starts that the patient was offered
    before)."""
    return tx.all(
        _WAITING,
        clinic_id=clinic_id,
        practitioner_id=practitioner_id,
        starts_at=freed.start,
        ends_at=freed.end,
    )


def end(
    tx: Tx, wish_id: UUID, status: str, *, at: datetime, appointment_id: UUID | None = None
) -> int | None:
    """End a wish that waits: its new version, or None where it waits no more."""
    found: int | None = tx.value(
        "update waitlist_wishes set version = version + 1, status = :status, ended_at = :at,"
        " appointment_id = :appointment_id::uuid"
        " where wish_id = :wish_id and status = 'WAITING' returning version",
        wish_id=wish_id,
        status=status,
        at=at,
        appointment_id=appointment_id,
    )
    return found


def expire(tx: Tx, now: datetime) -> list[UUID]:
    """End the wishes whose last window is over: whose they were."""
    return [row["patient_id"] for row in tx.all(_EXPIRE, now=now)]
