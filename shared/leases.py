"""Work that one process may do at a time, and proof against one that comes back late.

A lease runs out by the database's clock, so that a process which died blocks nobody for long. One
that only slept still believes in its lease: the fence, a number that grows each time the lease
changes hands, tells it apart (Kleppmann, "How to do distributed locking", 2016). Whatever must not
be done twice is therefore done in a transaction that begins with ``lease.hold(tx)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.db import Database, Tx
from shared.errors import Conflict

__all__ = ["Lease", "LeaseLost", "release", "take"]

# A row that is locked belongs to a holder at work: skipped, not waited for.
_TAKE = """
with free as (
  select name from leases
   where name = :name and lease_until < clock_timestamp() for update skip locked),
taken as (
  update leases l
     set fence = l.fence + 1, lease_until = clock_timestamp() + make_interval(secs => :seconds)
    from free where l.name = free.name
  returning l.fence),
made as (
  insert into leases (name, fence, lease_until)
  select :name, 1, clock_timestamp() + make_interval(secs => :seconds)
   where not exists (select from leases where name = :name)
  on conflict do nothing
  returning fence)
select fence from taken union all select fence from made
"""
_HOLD = "select fence from leases where name = :name and fence = :fence for update"
_RENEW = """
update leases set lease_until = clock_timestamp() + make_interval(secs => :seconds)
 where name = :name and fence = :fence returning fence
"""
_RELEASE = "update leases set lease_until = '-infinity' where name = :name and fence = :fence"


class LeaseLost(Conflict):
    """Another process has taken over this work."""


@dataclass(frozen=True)
class Lease:
    """The right to do ``name``'s work, for as long as nobody has a higher ``fence``."""

    name: str
    fence: int

    def hold(self, tx: Tx, seconds: float | None = None) -> None:
        """Nobody takes the lease before ``tx`` ends, even if it has run out by then; with
        ``seconds``, not for that long from now, either.

        Raises LeaseLost if somebody took it already.
        """
        mine = {"name": self.name, "fence": self.fence}
        held = tx.one(_HOLD, **mine) if seconds is None else tx.one(_RENEW, **mine, seconds=seconds)
        if held is None:
            raise LeaseLost


def take(db: Database, name: str, seconds: float) -> Lease | None:
    """The lease of ``name`` for ``seconds``, or None while somebody else has it."""
    row = db.transaction(
        lambda tx: tx.one(_TAKE, name=name, seconds=seconds), isolation="READ COMMITTED"
    )
    return None if row is None else Lease(name, row["fence"])


def release(db: Database, lease: Lease) -> None:
    """Give ``lease`` back early; without effect if it was lost."""
    db.transaction(
        lambda tx: tx.run(_RELEASE, name=lease.name, fence=lease.fence), isolation="READ COMMITTED"
    )
