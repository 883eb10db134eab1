"""Erasures: who asked, what every service answered, and the keys that signed receipts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from functions.auth.domain import ErasureStatus, PartState
from shared.db import Database, Row, Tx
from shared.wire import Statement

__all__ = [
    "Receipt",
    "answer",
    "ask",
    "asked_again",
    "by_person",
    "claim_requested",
    "due",
    "get",
    "give_up",
    "held",
    "insert",
    "keep_receipt",
    "lock",
    "lock_whole",
    "parts",
    "since",
    "tell",
    "unanswered",
    "unsigned",
]

Receipt = Literal["receipt", "final_receipt"]
_LOCK = "select * from erasures where id = :id for update"
_PARTS = """
select service, state, erased, held, run, answered_at, askings, ask_at
  from erasure_services where erasure_id = :id order by service
"""


def insert(tx: Tx, entry: Mapping[str, Any], *, try_at: datetime) -> None:
    """A new erasure, REQUESTED; nothing changes where the person has one."""
    tx.run(
        "insert into erasures (id, person_id, reason, requested_by, requested_at, try_at)"
        " values (:erasure_id, :person_id, :reason, :requested_by, :requested_at, :try_at)"
        " on conflict do nothing",
        **entry,
        try_at=try_at,
    )


def get(source: Database | Tx, erasure_id: UUID) -> Row | None:
    """One erasure."""
    return source.one("select * from erasures where id = :id", id=erasure_id)


def by_person(source: Database | Tx, person: UUID) -> Row | None:
    """The person's erasure: there is never more than one."""
    return source.one("select * from erasures where person_id = :person", person=person)


def lock(tx: Tx, erasure_id: UUID) -> Row | None:
    """One erasure, locked until the transaction ends; call it under READ COMMITTED."""
    return tx.one(_LOCK, id=erasure_id)


def lock_whole(tx: Tx, erasure_id: UUID) -> tuple[Row | None, list[Row]]:
    """``lock`` and ``parts`` in one round trip."""
    about = {"id": erasure_id}
    row, said = tx.batch(Statement(_LOCK, about), Statement(_PARTS, about))
    return (row.rows[0] if row.rows else None), said.rows


def tell(tx: Tx, erasure_id: UUID, status: ErasureStatus, now: datetime) -> None:
    """What the erasure has come to; when it was complete for the first time stays, as does when
    something was held at first, and when all of that was let go."""
    tx.run(
        "update erasures set status = :status, completed_at = coalesce(completed_at,"
        " case when :status in ('COMPLETED', 'HELD') then :now::timestamptz end),"
        " held_at = coalesce(held_at, case when :status = 'HELD' then :now end),"
        " released_at = coalesce(released_at,"
        " case when :status = 'COMPLETED' and held_at is not null then :now end) where id = :id",
        id=erasure_id,
        status=status,
        now=now,
    )


def claim_requested(tx: Tx, now: datetime, pauses: Sequence[timedelta], limit: int) -> list[Row]:
    """Erasures that should have begun, each put off by its next of ``pauses`` (its last for all
    further tries)."""
    return tx.all(
        """
        update erasures e
           set tries = e.tries + 1,
               try_at = :now::timestamptz + make_interval(secs =>
                 (:pauses::float8[])[least(e.tries + 1, cardinality(:pauses::float8[]))])
          from (select id from erasures where status = 'REQUESTED' and try_at <= :now
                 order by try_at limit :limit for update skip locked) d
         where e.id = d.id
        returning e.id
        """,
        now=now,
        pauses=[pause.total_seconds() for pause in pauses],
        limit=limit,
    )


def ask(tx: Tx, erasure_id: UUID, services: Iterable[str], ask_at: datetime) -> None:
    """Each of ``services`` is asked now, and again at ``ask_at``; what it said before is void."""
    tx.run(
        "insert into erasure_services (erasure_id, service, ask_at)"
        " select :id::uuid, s, :ask_at::timestamptz from unnest(:services::text[]) s"
        " on conflict (erasure_id, service) do update"
        " set state = 'PENDING', askings = 1, ask_at = excluded.ask_at",
        id=erasure_id,
        services=sorted(services),
        ask_at=ask_at,
    )


def parts(source: Database | Tx, erasure_id: UUID) -> list[Row]:
    """What every service has said: service, state, erased, held, run and when."""
    return source.all(_PARTS, id=erasure_id)


def answer(
    tx: Tx,
    erasure_id: UUID,
    service: str,
    state: PartState,
    *,
    erased: Mapping[str, int],
    held: Sequence[Mapping[str, Any]],
    run: int,
    at: datetime,
) -> None:
    """What ``service`` said."""
    tx.run(
        "update erasure_services set state = :state, erased = :erased::jsonb,"
        " held = :held::jsonb, run = :run, answered_at = :at"
        " where erasure_id = :id and service = :service",
        id=erasure_id,
        service=service,
        state=state,
        erased=json.dumps(erased),
        held=json.dumps(held),
        run=run,
        at=at,
    )


def due(db: Database, now: datetime, limit: int) -> list[UUID]:
    """Erasures that some service is late to answer about."""
    rows = db.all(
        "select erasure_id from erasure_services where state = 'PENDING' and ask_at <= :now"
        " group by erasure_id order by min(ask_at) limit :limit",
        now=now,
        limit=limit,
    )
    return [row["erasure_id"] for row in rows]


def asked_again(tx: Tx, erasure_id: UUID, service: str, ask_at: datetime) -> None:
    """``service`` was asked once more."""
    tx.run(
        "update erasure_services set askings = askings + 1, ask_at = :ask_at"
        " where erasure_id = :id and service = :service",
        id=erasure_id,
        service=service,
        ask_at=ask_at,
    )


def give_up(tx: Tx, erasure_id: UUID, service: str) -> None:
    """``service`` was asked often enough."""
    tx.run(
        "update erasure_services set state = 'FAILED'"
        " where erasure_id = :id and service = :service",
        id=erasure_id,
        service=service,
    )


def unanswered(db: Database) -> dict[str, float | None]:
    """Gauges: how many services have yet to answer, and for how many seconds the first has."""
    row = db.one(
        "select count(*) as services, coalesce(extract(epoch from"
        " clock_timestamp() - min(e.requested_at)), 0)::float8 as age"
        " from erasure_services s join erasures e on e.id = s.erasure_id where s.state = 'PENDING'"
    )
    return {
        "dentalhelp.erasures.unanswered": row["services"] if row else None,
        "dentalhelp.erasures.unanswered.age": row["age"] if row else None,
    }


def since(db: Database, moment: datetime) -> list[Row]:
    """Erasures in the ledger that were requested or answered since ``moment``, or are open."""
    return db.all(
        "select e.* from erasures e where e.status <> 'REQUESTED'"
        " and (e.requested_at >= :moment or e.status not in ('COMPLETED', 'HELD')"
        "  or exists (select from erasure_services s"
        "    where s.erasure_id = e.id and s.answered_at >= :moment)) order by e.requested_at",
        moment=moment,
    )


def unsigned(db: Database, limit: int) -> list[UUID]:
    """Complete erasures without a receipt, or without the final one."""
    rows = db.all(
        "(select id from erasures where completed_at is not null and receipt is null"
        " and status in ('COMPLETED', 'HELD') order by completed_at limit :limit) union"
        " (select id from erasures where released_at is not null and final_receipt is null"
        " and status = 'COMPLETED' order by released_at limit :limit)",
        limit=limit,
    )
    return [row["id"] for row in rows]


def keep_receipt(
    tx: Tx, erasure_id: UUID, which: Receipt, receipt: str, public: Mapping[str, Any]
) -> None:
    """Keep the receipt, unless there is one, and the public key that it is checked with."""
    tx.run(
        "insert into receipt_keys (kid, public) values (:kid, :public::jsonb)"
        " on conflict do nothing",
        kid=public["kid"],
        public=json.dumps(public),
    )
    tx.run(
        f"update erasures set {which} = :receipt where id = :id and {which} is null",  # nosec B608
        id=erasure_id,
        receipt=receipt,
    )


def held(tx: Tx, erasure_id: UUID, now: datetime) -> None:
    """Something was held at first; if nothing is any more, it was let go by ``now``."""
    tx.run(
        "update erasures set held_at = coalesce(held_at, completed_at), released_at ="
        " coalesce(released_at, case when status = 'COMPLETED' then :now::timestamptz end)"
        " where id = :id",
        id=erasure_id,
        now=now,
    )
