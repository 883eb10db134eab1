"""What a person is told in the app, and what they want to be told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared import audit
from shared.db import Database, Row, Tx
from shared.types import uuid7

__all__ = [
    "add",
    "live",
    "page",
    "preferences",
    "projected",
    "read",
    "read_all",
    "set_preferences",
    "stale",
]

# Nothing is told twice, nor what the person does not want; then nothing changes.
_ADD = """
with n as (
  insert into notifications (id, person_id, event_id, kind, about, facts)
  select :id, :person_id, :event_id, :kind, :about, :facts
   where not exists (select from preferences
                      where person_id = :person_id and :kind || '.IN_APP' = any(muted))
  on conflict do nothing
  returning person_id)
insert into inboxes (person_id, language, version, sent)
select person_id, coalesce(:language, 'en'), 1, 1 from n
on conflict (person_id) do update
   set language = coalesce(:language, inboxes.language), version = inboxes.version + 1,
       sent = inboxes.sent + 1
returning sent
"""

# One row, whatever there is, so that one look leaves one row in the audit log.
_PAGE = audit.audited(
    """
select w.person_id, i.language, k.version as key_version, k.wrapped as key_wrapped,
       (select count(*) from notifications n
         where n.person_id = w.person_id and n.read_at is null) as unread,
       (select coalesce(jsonb_agg(to_jsonb(p) order by p.created_at desc, p.id desc), '[]')
          from (select n.id, n.kind, n.about, encode(n.facts, 'hex') as facts, n.created_at,
                       n.read_at from notifications n
                 where n.person_id = w.person_id
                   and (not :unread or n.read_at is null)
                   and (:after_at::timestamptz is null
                        or (n.created_at, n.id) < (:after_at::timestamptz, :after_id::uuid))
                 order by n.created_at desc, n.id desc limit :limit) p) as items
  from (select :person_id::uuid as person_id) w
  left join inboxes i on i.person_id = w.person_id
  left join subject_keys k on k.subject = w.person_id
""",
    action="read",
    what="notifications",
)

_READ = """
with n as (
  update notifications set read_at = clock_timestamp()
   where id = any(:ids::uuid[]) and person_id = :person_id and read_at is null
  returning person_id)
update inboxes set version = version + 1 where person_id in (select person_id from n)
"""
_READ_ALL = """
with n as (
  update notifications set read_at = clock_timestamp()
   where person_id = :person_id and read_at is null
  returning person_id)
update inboxes set version = version + 1 where person_id in (select person_id from n)
"""

_LIVE = """
select i.version,
       (select count(*) from notifications n
         where n.person_id = i.person_id and n.read_at is null) as unread,
       (select coalesce(jsonb_agg(jsonb_build_object(
                 'id', p.id, 'kind', p.kind,
                 'created_at', to_char(p.created_at at time zone 'UTC',
                                       'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
               order by p.created_at desc, p.id desc), '[]')
          from (select n.id, n.kind, n.created_at from notifications n
                 where n.person_id = i.person_id
                 order by n.created_at desc, n.id desc limit 20) p) as latest
  from inboxes i where i.person_id = :person_id
"""

_PREFERENCES = audit.audited(
    """
select w.person_id, coalesce(p.version, 0) as version, coalesce(p.muted, '{}') as muted
  from (select :person_id::uuid as person_id) w
  left join preferences p on p.person_id = w.person_id
""",
    action="read",
    what="notification preferences",
)

# Version 0 is a person who has no row yet: of two who make it at once, one finds the other's.
_SET_PREFERENCES = """
insert into preferences (person_id, version, muted)
select :person_id, 1, :muted where :version = 0
on conflict (person_id) do nothing returning version
"""
_CHANGE_PREFERENCES = """
update preferences set version = version + 1, muted = :muted
 where person_id = :person_id and version = :version returning version
"""


def add(
    tx: Tx,
    person_id: UUID,
    event_id: UUID,
    kind: str,
    *,
    language: str | None = None,
    about: UUID | None = None,
    facts: bytes | None = None,
) -> tuple[UUID, int] | None:
    """Tell the person in the app: (notification's id, how many were told by now), or None where
    this was told before or is not wanted. ``language`` is the person's, where the event says."""
    identity = uuid7()
    sent = tx.value(
        _ADD,
        id=identity,
        person_id=person_id,
        event_id=event_id,
        kind=kind,
        language=language,
        about=about,
        facts=facts,
    )
    return None if sent is None else (identity, int(sent))


def page(
    db: Database,
    person_id: UUID,
    *,
    unread: bool,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Row | None:
    """person_id, language, key_version, key_wrapped, unread, items ({id, kind, about, facts (hex),
    created_at, read_at}, newest first). None for somebody who was erased."""
    at, last = after or (None, None)
    return db.one(
        _PAGE,
        person_id=person_id,
        unread=unread,
        after_at=at,
        after_id=last,
        limit=limit,
        **audit.who(),
    )


def read(tx: Tx, person_id: UUID, identity: UUID) -> bool:
    """Mark one as read; False where the person has no such notification."""
    mine = tx.one(
        "select from notifications where id = :id and person_id = :person_id",
        id=identity,
        person_id=person_id,
    )
    if mine is None:
        return False
    tx.run(_READ, ids=[identity], person_id=person_id)
    return True


def read_all(tx: Tx, person_id: UUID) -> None:
    """Mark all as read."""
    tx.run(_READ_ALL, person_id=person_id)


def live(db: Database, person_id: UUID) -> Row | None:
    """version, unread, latest: what the live view shows. None for nobody."""
    return db.one(_LIVE, person_id=person_id)


def projected(db: Database, person_id: UUID, version: int) -> None:
    """The live view has been given ``version``."""
    db.all(
        "update inboxes set projected_version = :version"
        " where person_id = :person_id and projected_version < :version",
        person_id=person_id,
        version=version,
    )


def stale(db: Database) -> Sequence[UUID]:
    """Up to 100 people whose live view lags."""
    rows = db.all("select person_id from inboxes where projected_version < version limit 100")
    return [row["person_id"] for row in rows]


def preferences(db: Database, person_id: UUID) -> tuple[int, list[str]]:
    """(version, what is switched off); of somebody who was erased nothing is known."""
    row = db.one(_PREFERENCES, person_id=person_id, **audit.who())
    return (0, []) if row is None else (row["version"], row["muted"])


def set_preferences(tx: Tx, person_id: UUID, version: int, muted: Sequence[str]) -> int | None:
    """Replace ``version``: the new version, or None where there is no such version."""
    sql = _CHANGE_PREFERENCES if version else _SET_PREFERENCES
    found = tx.value(sql, person_id=person_id, version=version, muted=list(muted))
    return None if found is None else int(found)
