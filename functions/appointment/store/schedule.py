"""What a clinic's schedule is made of: clinics, practitioners, exceptions, chairs, types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from shared.audit import audited, who
from shared.db import Database, Row, Tx

__all__ = [
    "Table",
    "add",
    "add_exception",
    "clinic",
    "drop_exception",
    "exceptions",
    "keep_clinic",
    "keep_roles",
    "listing",
    "replace",
    "show",
]

Table = Literal["practitioners", "chairs", "appointment_types"]

_KEYS: dict[Table, str] = {
    "practitioners": "practitioner_id",
    "chairs": "chair_id",
    "appointment_types": "type_id",
}
_COLUMNS: dict[Table, str] = {
    "practitioners": "clinic_id, practitioner_id, version, display_name, active, hours",
    "chairs": "clinic_id, chair_id, version, name, active",
    "appointment_types": (
        "clinic_id, type_id, version, name, active, duration_minutes, needs_chair, price,"
        " currency, cutoff_minutes"
    ),
}
_NAMES: dict[Table, str] = {
    "practitioners": "display_name",
    "chairs": "name",
    "appointment_types": "name",
}

_KEEP = """
insert into clinics (clinic_id, version, name, time_zone)
values (:clinic_id, :version, :name, :time_zone)
on conflict (clinic_id) do update
   set version = excluded.version, name = excluded.name, time_zone = excluded.time_zone
 where clinics.version < excluded.version
"""
_KEEP_ROLES = """
update practitioners p
   set roles_version = :roles_version, active = p.active and at.works,
       version = p.version + (p.active and not at.works)::int
  from (select clinic_id, (:anywhere or clinic_id = any(:clinics::uuid[])) as works, active
          from practitioners
         where practitioner_id = :practitioner_id and roles_version < :roles_version
           for update) at
 where p.clinic_id = at.clinic_id and p.practitioner_id = :practitioner_id
returning at.active and not p.active as ended
"""
# Leave is a practitioner's, so whoever looks is on record; a holiday is nobody's.
_EXCEPTIONS = (
    audited(
        """
select exception_id, clinic_id, practitioner_id, kind, starts, ends from schedule_exceptions
 where clinic_id = :clinic_id and starts < :until and ends > :since
   and (:practitioner_id::uuid is null or practitioner_id is null
        or practitioner_id = :practitioner_id::uuid)
   and (:after::uuid is null
        or (starts, exception_id) > (:after_starts::timestamp, :after::uuid))
 order by starts, exception_id limit :limit""",
        action="read",
        what="working hours",
        person="practitioner_id",
        where="practitioner_id is not null",
    )
    + " order by starts, exception_id"
)


def clinic(source: Database | Tx, clinic_id: UUID) -> Row | None:
    """clinic_id, version, name, time_zone."""
    return source.one("select * from clinics where clinic_id = :id", id=clinic_id)


def keep_clinic(tx: Tx, clinic_id: UUID, version: int, name: str, time_zone: str) -> None:
    """Note what a clinic is like now, unless something newer is known."""
    tx.run(_KEEP, clinic_id=clinic_id, version=version, name=name, time_zone=time_zone)


def keep_roles(tx: Tx, practitioner_id: UUID, version: int, clinics: Iterable[UUID | None]) -> bool:
    """Somebody has roles in these ``clinics`` only (None: in all), unless something newer is known:
    elsewhere they cannot be booked any more. Did that end anything?"""
    places = set(clinics)
    rows = tx.all(
        _KEEP_ROLES,
        practitioner_id=practitioner_id,
        roles_version=version,
        anywhere=None in places,
        clinics=sorted(place for place in places if place is not None),
    )
    return any(row["ended"] for row in rows)


def add(tx: Tx, table: Table, columns: Mapping[str, Any]) -> Row:
    """The new row, at version 1. Raises UniqueViolation, ForeignKeyViolation."""
    names = ", ".join(columns)
    values = ", ".join(f":{name}" for name in columns)
    return _only(
        tx.one(
            f"insert into {table} ({names}) values ({values}) returning {_COLUMNS[table]}",  # nosec B608
            **columns,
        )
    )


def replace(
    tx: Tx, table: Table, clinic_id: UUID, key: UUID, *, version: int, columns: Mapping[str, Any]
) -> Row | None:
    """The row with ``columns`` over ``version``; None where it has another one, or there is no
    such row. Raises UniqueViolation."""
    assigned = ", ".join(f"{name} = :{name}" for name in columns)
    return tx.one(
        f"update {table} set version = version + 1, {assigned}"  # nosec B608
        f" where clinic_id = :clinic_id and {_KEYS[table]} = :key and version = :version"
        f" returning {_COLUMNS[table]}",
        clinic_id=clinic_id,
        key=key,
        version=version,
        **columns,
    )


def show(source: Database | Tx, table: Table, clinic_id: UUID, key: UUID) -> Row | None:
    """One row of a clinic."""
    return source.one(
        f"select {_COLUMNS[table]} from {table}"  # nosec B608
        f" where clinic_id = :clinic_id and {_KEYS[table]} = :key",
        clinic_id=clinic_id,
        key=key,
    )


def listing(
    db: Database, table: Table, clinic_id: UUID, after: tuple[str, UUID] | None, limit: int
) -> list[Row]:
    """Rows of a clinic by name, behind ``after`` (name, key)."""
    name, key = _NAMES[table], _KEYS[table]
    return db.all(
        f"select {_COLUMNS[table]} from {table} where clinic_id = :clinic_id"  # nosec B608
        f" and (:after::uuid is null or ({name}, {key}) > (:name, :after::uuid))"
        f" order by {name}, {key} limit :limit",
        clinic_id=clinic_id,
        name=after[0] if after else "",
        after=after[1] if after else None,
        limit=limit,
    )


def add_exception(tx: Tx, columns: Mapping[str, Any]) -> None:
    """Make an exception. Raises ForeignKeyViolation."""
    tx.run(
        "insert into schedule_exceptions"
        " (exception_id, clinic_id, practitioner_id, kind, starts, ends)"
        " values (:exception_id, :clinic_id, :practitioner_id, :kind, :starts, :ends)",
        **columns,
    )


def drop_exception(tx: Tx, clinic_id: UUID, exception_id: UUID) -> Row | None:
    """Take an exception back: its practitioner_id; None if there is none."""
    sql = (
        "delete from schedule_exceptions"
        " where clinic_id = :clinic_id and exception_id = :exception_id returning practitioner_id"
    )
    return tx.one(sql, clinic_id=clinic_id, exception_id=exception_id)


def exceptions(
    db: Database,
    clinic_id: UUID,
    practitioner_id: UUID | None,
    *,
    since: datetime,
    until: datetime,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Row]:
    """Exceptions of a clinic (that concern one practitioner) between two local times, in order."""
    return db.all(
        _EXCEPTIONS,
        clinic_id=clinic_id,
        practitioner_id=practitioner_id,
        since=since,
        until=until,
        after_starts=after[0] if after else None,
        after=after[1] if after else None,
        limit=limit,
        **who(),
    )


def _only(row: Row | None) -> Row:
    if row is None:
        raise LookupError("an insert returns its row")
    return row
