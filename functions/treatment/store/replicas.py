"""What patient says somebody is allergic to, as treatment knows it.

``version`` is that of the patient's record that the list is from, ``heard`` the newest that was
heard of. Every message about the record counts: after one that leaves the list alone and comes
right behind ``version``, the list is known to be the same in the newer version, too. After a gap
nobody knows, and patient has to be asked.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from functions.treatment.domain.allergies import Listed
from shared.crypto import Subject
from shared.db import Database, Row, Tx

__all__ = ["OLDEST", "Told", "hear", "keep", "listed", "lock", "look", "trusted"]

OLDEST = timedelta(hours=1)
"""How long a list is believed without news that it is still so: as long as a message may be late
without anybody having noticed."""

_LISTED: TypeAdapter[Listed] = TypeAdapter(Listed)

_KEEP = """
insert into allergy_replicas as r (patient_id, version, heard, listed, confirmed_at)
values (:patient_id, :version, :version, :listed, :at)
on conflict (patient_id) do update
   set version = excluded.version, heard = greatest(r.heard, excluded.version),
       listed = excluded.listed, confirmed_at = greatest(r.confirmed_at, excluded.confirmed_at)
 where r.version <= excluded.version
"""

_HEAR = """
insert into allergy_replicas as r (patient_id, version, heard, confirmed_at)
values (:patient_id, 0, :version, :at)
on conflict (patient_id) do update
   set heard = greatest(r.heard, excluded.heard),
       version = case when r.version > 0 and excluded.heard = r.version + 1
                      then excluded.heard else r.version end,
       confirmed_at = case when r.version > 0 and excluded.heard in (r.version, r.version + 1)
                           then greatest(r.confirmed_at, excluded.confirmed_at)
                           else r.confirmed_at end
"""

_LOCK = """
select r.patient_id, r.version, r.heard, r.listed, r.confirmed_at,
       k.version as key_version, k.wrapped as key_wrapped
  from allergy_replicas r
  left join subject_keys k on k.subject = r.patient_id
 where r.patient_id = :patient_id for update of r
"""


class Told(NamedTuple):
    """What patient says: the list in a version of the record, as it was at ``at``."""

    patient_id: UUID
    version: int
    list: Listed
    at: datetime


def keep(tx: Tx, key: Subject, told: Told) -> None:
    """Follow what was told, unless something newer is known."""
    tx.run(
        _KEEP,
        patient_id=told.patient_id,
        version=told.version,
        listed=key.seal("listed", _LISTED.dump_json(told.list).decode()),
        at=told.at,
    )


def hear(tx: Tx, patient_id: UUID, version: int, at: datetime) -> None:
    """The record has this version since ``at``, and the list did not change with it."""
    tx.run(_HEAR, patient_id=patient_id, version=version, at=at)


def look(db: Database, patient_id: UUID) -> Row | None:
    """version, heard, confirmed_at: whether the list can be believed; it is shown to nobody."""
    return db.one(
        "select version, heard, confirmed_at from allergy_replicas where patient_id = :patient_id",
        patient_id=patient_id,
    )


def lock(tx: Tx, patient_id: UUID) -> Row | None:
    """The sealed row with its key. Whoever changes it waits until this transaction ends."""
    return tx.one(_LOCK, patient_id=patient_id)


def trusted(row: Row | None, now: datetime) -> bool:
    """Is this the list as patient has it, as far as anybody here can know?"""
    return (
        row is not None
        and row["version"] > 0
        and row["version"] == row["heard"]
        and row["confirmed_at"] > now - OLDEST
    )


def listed(row: Row, key: Subject) -> Listed:
    """The list in a row of ``lock``, which is a trusted one."""
    return _LISTED.validate_json(key.open("listed", row["listed"]))
