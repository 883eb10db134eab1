"""The rows of sagas: SQL as functions of an open transaction, or of the database for reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from shared import log
from shared.crypto import Vault
from shared.db import Database, Row, Tx
from shared.saga_plan import Saga, SagaData
from shared.saga_rules import Entry, Replied, State

__all__ = ["Run", "claim", "insert", "lock", "save", "seal", "show", "summaries", "unseal"]

LEASE_S = 30
"""How long a process that claimed a saga has before another one may continue it."""

_LOG = """
insert into saga_log (saga_id, at, event, step, action, detail)
select s.id, :now, e.event, e.step, e.action, e.detail
  from s, rows from (json_to_recordset(:log::json)
           as (event text, step text, action text, detail text))
          with ordinality as e(event, step, action, detail, n)
 order by e.n
"""

_INSERT = f"""
with s as (
  insert into sagas (id, name, definition, subject, status, steps, states, round, attempts, since,
                     deadline_at, wake_at, error, data, correlation_id, created_at, updated_at)
  values (:id, :name, :definition, :subject, :status, :steps::text[], :states::text[], :round,
          :attempts, :since, :deadline_at, :wake_at, :error, :data, :correlation, :now, :now)
  returning id)
{_LOG}"""  # nosec B608

_SAVE = f"""
with s as (
  update sagas set status = :status, states = :states::text[], round = :round,
         attempts = :attempts, since = :since, wake_at = :wake_at, lease_until = null,
         fence = fence + 1, error = :error, held = :held::jsonb, updated_at = :now,
         data = case when :ended then null else data end
   where id = :id
  returning id)
{_LOG}"""  # nosec B608

_CLAIM = """
update sagas set lease_until = :lease_until, fence = fence + 1
 where id in (select id from sagas
               where wake_at <= :now and (lease_until is null or lease_until <= :now)
               order by wake_at limit :n for update skip locked)
returning id, fence, correlation_id
"""


@dataclass
class Run:
    """One saga in one transaction: what its row says and what is to be noted."""

    id: UUID
    name: str
    fingerprint: str
    steps: tuple[str, ...]
    state: State
    sealed: bytes | None
    created_at: datetime
    fence: int = 0
    correlation: str | None = None
    held: list[Replied] = field(default_factory=list)
    log: list[Entry] = field(default_factory=list)

    def fits(self, saga: Saga | None) -> bool:
        """Whether ``saga`` is the definition it was started with."""
        return saga is not None and saga.fingerprint == self.fingerprint


def seal(vault: Vault, saga_id: UUID, data: SagaData) -> bytes:
    """``data`` encrypted for this one saga."""
    return vault.seal(f"saga:{saga_id}", json.dumps(data).encode())


def unseal(vault: Vault, run: Run) -> SagaData:
    """The data of a saga under way. Raises Unreadable, Unavailable."""
    if run.sealed is None:
        return {}
    found: SagaData = json.loads(vault.unseal(f"saga:{run.id}", run.sealed))
    return found


def insert(tx: Tx, run: Run, subject: UUID, now: datetime) -> None:
    """A new saga and its first timeline. Raises UniqueViolation."""
    tx.run(
        _INSERT,
        **_columns(run, now),
        name=run.name,
        definition=run.fingerprint,
        subject=subject,
        steps=list(run.steps),
        deadline_at=run.state.deadline_at,
        data=None if run.state.ended else run.sealed,
        correlation=log.correlation_id.get(),
    )


def lock(tx: Tx, saga_id: UUID) -> Run | None:
    """The saga with its row locked until the transaction ends."""
    row = tx.one("select * from sagas where id = :id for update", id=saga_id)
    return _run(row) if row else None


def save(tx: Tx, run: Run, now: datetime) -> None:
    """Write the new state: the lease is over, and other holders of it are fenced off."""
    held = json.dumps([vars(reply) for reply in run.held])
    tx.run(_SAVE, **_columns(run, now), held=held, ended=run.state.ended)


def claim(db: Database, now: datetime, lease_until: datetime, limit: int) -> list[Row]:
    """Take sagas that are due and that nobody holds: ``id``, ``fence``, ``correlation_id``."""
    return db.transaction(
        lambda tx: tx.all(_CLAIM, now=now, lease_until=lease_until, n=limit),
        isolation="READ COMMITTED",
    )


def summaries(db: Database, status: str | None, before: UUID | None, limit: int) -> list[Row]:
    """The newest sagas first, without their steps."""
    return db.all(
        "select id, name, subject, status, attempts, error, deadline_at, wake_at, created_at,"
        " updated_at from sagas where (:status::text is null or status = :status)"
        " and (:before::uuid is null or (created_at, id) <"
        "      (select created_at, id from sagas where id = :before))"
        " order by created_at desc, id desc limit :n",
        status=status,
        before=before,
        n=limit,
    )


def show(db: Database, saga_id: UUID) -> dict[str, Any] | None:
    """One saga: ``steps`` [{name, state}] and ``timeline`` [{at, event, step, action, detail}]."""
    row = db.one(
        "select s.id, s.name, s.subject, s.status, s.attempts, s.error, s.deadline_at, s.wake_at,"
        " s.created_at, s.updated_at, s.steps, s.states, (select json_agg(json_build_object("
        "   'at', l.at, 'event', l.event, 'step', l.step, 'action', l.action, 'detail', l.detail)"
        "   order by l.id) from saga_log l where l.saga_id = s.id) as timeline"
        " from sagas s where s.id = :id",
        id=saga_id,
    )
    if row is None:
        return None
    pairs: Sequence[tuple[str, str]] = list(zip(row.pop("steps"), row.pop("states"), strict=True))
    steps = [{"name": name, "state": state} for name, state in pairs]
    timeline = [{k: v for k, v in entry.items() if v} for entry in row.pop("timeline") or ()]
    return {**row, "steps": steps, "timeline": timeline}


def _columns(run: Run, now: datetime) -> dict[str, Any]:
    state = run.state
    return {
        "id": run.id,
        "status": state.status,
        "states": list(state.states),
        "round": state.round,
        "attempts": state.attempts,
        "since": state.since,
        "wake_at": state.wake_at,
        "error": state.error,
        "now": now,
        "log": json.dumps([vars(entry) for entry in run.log]),
    }


def _run(row: Row) -> Run:
    names = ("status", "since", "deadline_at", "wake_at", "round", "attempts", "error")
    return Run(
        id=row["id"],
        name=row["name"],
        fingerprint=row["definition"],
        steps=tuple(row["steps"]),
        state=State(states=tuple(row["states"]), **{name: row[name] for name in names}),
        sealed=row["data"],
        created_at=row["created_at"],
        fence=row["fence"],
        correlation=row["correlation_id"],
        held=[Replied(**reply) for reply in row["held"]],
    )
