"""Who there is, by ids alone: for comparing services with each other."""

from __future__ import annotations

from uuid import UUID

from shared.db import Database

__all__ = ["erased", "staff"]

# Whoever is not a patient alone has no record with patient.
_STAFF = """
select u.id from users u
 where not exists (select from user_roles r where r.user_id = u.id and r.role = 'PATIENT')
    or exists (select from user_roles r where r.user_id = u.id and r.role <> 'PATIENT')
"""


def staff(db: Database) -> set[UUID]:
    """Accounts that need no patient behind them."""
    return {row["id"] for row in db.all(_STAFF)}


def erased(db: Database) -> set[UUID]:
    """Everybody who was erased."""
    return {row["person_id"] for row in db.all("select person_id from erased_people")}
