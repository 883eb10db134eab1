"""The rotation of a service's key: a new version when the newest is old, and people's keys moved
under it. What was sealed stays as it is; only the wrapping of the keys changes."""

from __future__ import annotations

import time
from datetime import timedelta

from shared.crypto import Vault
from shared.db import Database, Tx

__all__ = ["LIFE", "rotate"]

LIFE = timedelta(days=90)
"""As Google Cloud KMS suggests for the keys above; NIST SP 800-57 allows far longer."""
_BATCH = 500


def rotate(db: Database, vault: Vault, *, life: timedelta = LIFE, budget_s: float = 20.0) -> int:
    """Make a new version if the newest is older than ``life``, then rewrap what older versions
    wrapped, for up to ``budget_s``; how many people's keys were moved.

    It may run twice at once, and be cut off anywhere. Raises Unavailable.
    """
    newest = db.one(
        "select version, created_at < clock_timestamp() - make_interval(secs => :life) as old"
        " from service_keys order by version desc limit 1",
        life=life.total_seconds(),
    )
    if newest is None:
        return 0
    current = vault.rotate() if newest["old"] else int(newest["version"])
    moved, until = 0, time.monotonic() + budget_s
    while time.monotonic() < until:

        def work(tx: Tx) -> int:
            return _move(tx, vault, current)

        done = db.transaction(work, isolation="READ COMMITTED")
        moved += done
        if done < _BATCH:
            break
    return moved


def _move(tx: Tx, vault: Vault, current: int) -> int:
    rows = tx.all(
        "select subject, version, wrapped from subject_keys where version < :current"
        " limit :n for update skip locked",
        current=current,
        n=_BATCH,
    )
    made = [vault.rewrapped(row["subject"], row["version"], row["wrapped"]) for row in rows]
    if rows:
        tx.run(
            "update subject_keys k set version = m.version, wrapped = m.wrapped"
            " from unnest(:subjects::uuid[], :versions::integer[], :wrapped::bytea[])"
            " as m(subject, version, wrapped) where k.subject = m.subject",
            subjects=[row["subject"] for row in rows],
            versions=[version for version, _ in made],
            wrapped=[wrapped for _, wrapped in made],
        )
    return len(rows)
