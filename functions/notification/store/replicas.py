"""What auth has told of clinics and of who stands at their receptions, never backwards."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.db import Tx
from shared.privacy import guard
from shared.wire import Statement

__all__ = ["clinic_name", "follow_clinic", "follow_reception", "reception"]

_FOLLOW_RECEPTION = """
insert into receptionists (person_id, version, places) values (:person_id, :version, :places)
on conflict (person_id) do update set version = :version, places = :places
 where receptionists.version < :version
"""
_FOLLOW_CLINIC = """
insert into clinics (clinic_id, version, name) values (:clinic_id, :version, :name)
on conflict (clinic_id) do update set version = :version, name = :name
 where clinics.version < :version
"""
_ALIVE = """
select p as person_id from unnest(:people::uuid[]) p
 where not exists (select from erased_people e where e.person_id = p) order by p
"""


def follow_reception(tx: Tx, person_id: UUID, version: int, places: Sequence[str]) -> None:
    """The person is RECEPTIONIST at ``places`` (a clinic's id, or ``*``), as of ``version``."""
    tx.run(_FOLLOW_RECEPTION, person_id=person_id, version=version, places=list(places))


def reception(tx: Tx, clinic_id: UUID) -> list[UUID]:
    """Who is RECEPTIONIST of the clinic, by id. No erasure of theirs begins before ``tx`` ends."""
    rows = tx.all(
        "select person_id from receptionists where places && :places::text[] order by person_id",
        places=[str(clinic_id), "*"],
    )
    people = [row["person_id"] for row in rows]
    if not people:
        return []
    # Whoever was erased while we waited is not written to.
    alive = tx.batch(*map(guard, people), Statement(_ALIVE, {"people": people}))[-1].rows
    return [row["person_id"] for row in alive]


def follow_clinic(tx: Tx, clinic_id: UUID, version: int, name: str) -> None:
    """The clinic is called ``name``, as of ``version``."""
    tx.run(_FOLLOW_CLINIC, clinic_id=clinic_id, version=version, name=name)


def clinic_name(tx: Tx, clinic_id: UUID) -> str | None:
    """What the clinic is called; None where we have not heard of it."""
    name: str | None = tx.value("select name from clinics where clinic_id = :id", id=clinic_id)
    return name
