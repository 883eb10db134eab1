"""E-mails on their way: made with what caused them, claimed by whoever sends, settled once.

A claim raises ``fence`` and moves ``due_at`` on. Whoever comes back too late finds another fence
and changes nothing; whoever does not come back is replaced when ``due_at`` has come.
"""

from __future__ import annotations

from uuid import UUID

from shared import log
from shared.db import Database, Row, Tx
from shared.types import uuid7

__all__ = [
    "add",
    "again",
    "claim",
    "confirm",
    "dead",
    "failed",
    "postpone",
    "purge",
    "sent",
    "skip",
]

_ADD = """
insert into deliveries (id, event_id, person_id, kind, recipient, address, link, facts, about,
                        version, correlation_id)
select :id, :event_id, :person_id, :kind, :recipient, :address, :link, :facts, :about,
       :version, :correlation_id
 where not exists (select from preferences
                    where person_id = :person_id and :kind || '.EMAIL' = any(muted))
on conflict do nothing
"""

_CLAIM = """
update deliveries set fence = fence + 1, due_at = clock_timestamp() + interval '30 seconds'
 where id = (select id from deliveries
              where state = 'PENDING' and due_at <= clock_timestamp()
              order by due_at limit 1 for update skip locked)
returning id, person_id, event_id, kind, recipient, attempts, fence, correlation_id
"""

# Just before the mail leaves. A conversation that takes as long as every answer may take ends
# within the minute.
_CONFIRM = """
with d as (
  update deliveries set due_at = clock_timestamp() + interval '60 seconds'
   where id = :id and fence = :fence and state = 'PENDING'
  returning person_id, address, link, facts, about, version)
select d.address, d.link, d.facts, k.version as key_version, k.wrapped as key_wrapped,
       coalesce(s.version > d.version, false) as outdated
  from d left join subject_keys k on k.subject = d.person_id
         left join settled s on s.about = d.about
"""

# The counter in the person's row puts what is told of one person in order.
_SENT = """
with d as (
  update deliveries
     set state = 'SENT', settled_at = clock_timestamp(), address = null, link = null,
         facts = null, reason = null
   where id = :id and fence = :fence and state = 'PENDING'
  returning person_id)
insert into inboxes (person_id, sent) select person_id, 1 from d
on conflict (person_id) do update set sent = inboxes.sent + 1
returning sent
"""


def add(
    tx: Tx,
    person_id: UUID,
    event_id: UUID,
    kind: str,
    recipient: str,
    *,
    address: bytes | None = None,
    link: bytes | None = None,
    facts: bytes | None = None,
    about: UUID | None = None,
    version: int | None = None,
) -> bool:
    """Write to the person; False where this was done before or is not wanted. It is not sent when
    what it is ``about`` has settled beyond ``version``."""
    made = tx.run(
        _ADD,
        id=uuid7(),
        event_id=event_id,
        person_id=person_id,
        kind=kind,
        recipient=recipient,
        address=address,
        link=link,
        facts=facts,
        about=about,
        version=version,
        correlation_id=log.correlation_id.get(),
    )
    return made == 1


def claim(db: Database) -> Row | None:
    """The delivery that has waited longest, ours for 30 seconds: id, person_id, event_id, kind,
    recipient, attempts, fence, correlation_id. None when nothing is due."""
    return db.one(_CLAIM)


def confirm(db: Database, row: Row) -> Row | None:
    """Is ``row`` still to be sent, and by us? Then ours for another minute: address, link, facts,
    outdated, key_version, key_wrapped."""
    return db.one(_CONFIRM, id=row["id"], fence=row["fence"])


def sent(tx: Tx, row: Row) -> int | None:
    """It has left: how often others were told about this person by now, or None where it is not
    ours any more."""
    found = tx.value(_SENT, id=row["id"], fence=row["fence"])
    return None if found is None else int(found)


def skip(db: Database, row: Row, reason: str) -> None:
    """There is nobody to write to."""
    db.all(
        "update deliveries set state = 'SKIPPED', settled_at = clock_timestamp(),"
        " address = null, link = null, facts = null, reason = :reason"
        " where id = :id and fence = :fence and state = 'PENDING'",
        id=row["id"],
        fence=row["fence"],
        reason=reason,
    )


def postpone(db: Database, row: Row, seconds: float) -> None:
    """Something on our side is away: try later, and do not count this."""
    db.all(
        "update deliveries set due_at = clock_timestamp() + make_interval(secs => :seconds)"
        " where id = :id and fence = :fence and state = 'PENDING'",
        id=row["id"],
        fence=row["fence"],
        seconds=seconds,
    )


def failed(db: Database, row: Row, reason: str, seconds: float) -> None:
    """The provider did not take it: try again in ``seconds``."""
    db.all(
        "update deliveries set attempts = attempts + 1, reason = :reason,"
        " due_at = clock_timestamp() + make_interval(secs => :seconds)"
        " where id = :id and fence = :fence and state = 'PENDING'",
        id=row["id"],
        fence=row["fence"],
        reason=reason,
        seconds=seconds,
    )


def dead(tx: Tx, row: Row, reason: str) -> bool:
    """Give it up; what is needed to send it stays, sealed. False where it is not ours any more."""
    changed = tx.run(
        "update deliveries set state = 'DEAD', settled_at = clock_timestamp(),"
        " attempts = attempts + 1, reason = :reason"
        " where id = :id and fence = :fence and state = 'PENDING'",
        id=row["id"],
        fence=row["fence"],
        reason=reason,
    )
    return changed == 1


def again(tx: Tx, identity: UUID) -> bool:
    """Try one that was given up as if it were new; False where there is none."""
    changed = tx.run(
        "update deliveries set state = 'PENDING', settled_at = null, attempts = 0,"
        " due_at = clock_timestamp() where id = :id and state = 'DEAD'",
        id=identity,
    )
    return changed == 1


def purge(tx: Tx) -> int:
    """What was settled a quarter ago: nobody redelivers or redrives it any more."""
    return tx.run("delete from deliveries where settled_at < now() - interval '90 days'")
