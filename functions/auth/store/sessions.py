"""Sessions, refresh tokens, invitations, attempts and signing keys."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from functions.auth.store.users import ROLES
from shared.db import Database, Row, Tx

__all__ = [
    "add_refresh",
    "add_signing_key",
    "count_attempt",
    "end",
    "end_all",
    "find_refresh",
    "forget_attempts",
    "hold_user",
    "insert",
    "insert_invitation",
    "lock_invitation",
    "lock_signing_keys",
    "public_keys",
    "purge",
    "signing_keys",
    "use_invitation",
    "use_refresh",
]


def insert(tx: Tx, session_id: UUID, user_id: UUID, *, now: datetime, life: timedelta) -> None:
    """A new session."""
    tx.run(
        "insert into sessions (id, user_id, started_at, expires_at)"
        " values (:id, :user, :now, :expires)",
        id=session_id,
        user=user_id,
        now=now,
        expires=now + life,
    )


def add_refresh(tx: Tx, token_hash: bytes, session_id: UUID, expires: datetime) -> None:
    """A token of the family; a repeated rotation finds it there already."""
    tx.run(
        "insert into refresh_tokens (hash, session_id, expires_at)"
        " values (:hash, :session, :expires) on conflict (hash) do nothing",
        hash=token_hash,
        session=session_id,
        expires=expires,
    )


def hold_user(tx: Tx, token_hash: bytes) -> bool:
    """Keep the token's user, status and roles, from changing; False for an unknown token."""
    found = tx.one(
        "select u.id from refresh_tokens t join sessions s on s.id = t.session_id"
        " join users u on u.id = s.user_id where t.hash = :hash for share of u",
        hash=token_hash,
    )
    return found is not None


def find_refresh(tx: Tx, token_hash: bytes, successor_hash: bytes) -> Row | None:
    """The token with its session, both locked against a concurrent use, and its user."""
    return tx.one(
        f"""
        select t.session_id, least(t.expires_at, s.expires_at) as expires_at, t.used_at,
               s.ended_at, u.id as user_id, u.status, {ROLES},
               exists (select from refresh_tokens n
                        where n.hash = :successor and n.used_at is not null) as successor_used
          from refresh_tokens t join sessions s on s.id = t.session_id
          join users u on u.id = s.user_id
         where t.hash = :hash for update of t, s
        """,  # nosec
        hash=token_hash,
        successor=successor_hash,
    )


def use_refresh(tx: Tx, token_hash: bytes, now: datetime) -> None:
    """Mark the token as rotated."""
    tx.run("update refresh_tokens set used_at = :now where hash = :hash", hash=token_hash, now=now)


def end(tx: Tx, session_id: UUID, now: datetime) -> bool:
    """End one session; False if it had ended."""
    changed = tx.run(
        "update sessions set ended_at = :now where id = :id and ended_at is null",
        id=session_id,
        now=now,
    )
    return changed == 1


def end_all(tx: Tx, user_id: UUID, now: datetime, *, but: UUID | None = None) -> list[UUID]:
    """End a person's sessions; the ids of those that had not ended."""
    rows = tx.all(
        "update sessions set ended_at = :now where user_id = :user and ended_at is null"
        " and id is distinct from :but::uuid returning id",
        user=user_id,
        now=now,
        but=but,
    )
    return [row["id"] for row in rows]


def count_attempt(db: Database, key: bytes, *, now: datetime, window: timedelta) -> Row:
    """Count an attempt before it is made, so that attempts in parallel count too."""
    row = db.one(
        """
        insert into login_attempts as a (key, attempts, since) values (:key, 1, :now)
        on conflict (key) do update set
          attempts = case when a.since <= :cutoff then 1 else a.attempts + 1 end,
          since = case when a.since <= :cutoff then :now else a.since end
        returning attempts, since
        """,
        key=key,
        now=now,
        cutoff=now - window,
    )
    return row or {}


def forget_attempts(tx: Tx, key: bytes) -> None:
    """The right password was given: the account's count starts anew."""
    tx.run("delete from login_attempts where key = :key", key=key)


def insert_invitation(tx: Tx, invitation: UUID, user_id: UUID, expires: datetime) -> None:
    """A one-time link; links made before stop working."""
    tx.run("delete from invitations where user_id = :user and used_at is null", user=user_id)
    tx.run(
        "insert into invitations (id, user_id, expires_at) values (:id, :user, :expires)",
        id=invitation,
        user=user_id,
        expires=expires,
    )


def lock_invitation(tx: Tx, invitation: UUID) -> Row | None:
    """The invitation, locked."""
    return tx.one("select * from invitations where id = :id for update", id=invitation)


def use_invitation(tx: Tx, invitation: UUID, now: datetime) -> None:
    """Mark the link as used."""
    tx.run("update invitations set used_at = :now where id = :id", id=invitation, now=now)


def signing_keys(db: Database) -> list[Row]:
    """Every key, newest first."""
    return db.all("select * from signing_keys order by active_from desc, kid")


def public_keys(db: Database) -> list[Row]:
    """The public halves: of every key, and of those gone that signed a receipt: ``retired``, so
    that no service takes a token for theirs."""
    return db.all(
        "select public from signing_keys"
        " union all select public || '{\"retired\": true}' from receipt_keys r"
        " where not exists (select from signing_keys k where k.kid = r.kid)"
    )


def lock_signing_keys(tx: Tx) -> list[Row]:
    """The same, while nobody else makes one."""
    tx.run("lock table signing_keys in share row exclusive mode")
    return tx.all("select * from signing_keys order by active_from desc, kid")


def add_signing_key(
    tx: Tx, kid: str, sealed: bytes, public: dict[str, Any], active_from: datetime
) -> None:
    """A key that signs from ``active_from`` on."""
    tx.run(
        "insert into signing_keys (kid, sealed, public, active_from)"
        " values (:kid, :sealed, :public::jsonb, :active_from)",
        kid=kid,
        sealed=sealed,
        public=json.dumps(public),
        active_from=active_from,
    )


def purge(tx: Tx, now: datetime, *, keys_before: datetime) -> int:
    """Drop what can matter no more: old tokens, sessions, attempts, retired keys."""
    statements = (
        "delete from refresh_tokens where expires_at < :day",
        "delete from sessions where expires_at < :day or ended_at < :month",
        "delete from login_attempts where since < :day",
        "delete from invitations where expires_at < :month",
    )
    day, month = now - timedelta(days=1), now - timedelta(days=30)
    done = sum(tx.run(sql, **({"day": day, "month": month})) for sql in statements)
    return done + tx.run(
        "delete from signing_keys k where exists (select from signing_keys n"
        " where n.active_from > k.active_from and n.active_from < :before)",
        before=keys_before,
    )
