"""Seals over the audit log, so that a row which is changed, removed or added later shows.

Each minute a job seals what has been written since: the digest of the rows in the order of their
transactions, chained to the seal before and vouched for by the service's key. The seal is first
created as an object outside the database, where nobody can replace it, and then kept as a row.
docs/decisions/0009-audit.md has the argument; ``make audit-verify`` checks every seal.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from typing import NamedTuple

from shared import log
from shared.audit_seal import START, Position, Seal, beginning
from shared.blobs import Blobs
from shared.crypto import Vault
from shared.db import Database, Tx
from shared.leases import Lease, LeaseLost, release, take

__all__ = ["ForeignAnchor", "Place", "digest", "seal"]

BATCH = 50_000
_PAGE = 5_000
_LEASE_S = 60.0


class Place(NamedTuple):
    """Where a service's audit log and its seals are kept."""

    service: str
    db: Database
    vault: Vault
    store: Blobs


# Every column, as text that does not depend on the session. The order is that of the column: of
# the text beside it, which has the same name, 1000 would come before 999.
_ROWS = """
select id, epoch, tx::text as tx, actor::text as actor, service, roles,
       person_id::text as person_id, action, what, purpose, correlation_id,
       to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at
  from audit_log
 where (epoch, tx, id) > (:epoch::integer, :tx::xid8, :id::bigint)
   and (epoch, tx, id) <= (:upto_epoch::integer, :upto_tx::xid8, :upto_id::bigint)
 order by audit_log.epoch, audit_log.tx, audit_log.id limit :limit
"""
_FIELDS = (
    *("id", "tx", "at", "actor", "service", "roles", "person_id"),
    *("action", "what", "purpose", "correlation_id"),
)
_NEWEST = """
select number, after_epoch, after_tx::text as after_tx, after_id, upto_epoch,
       upto_tx::text as upto_tx, upto_id, entries, root, previous, mac, sealed_at
  from audit_seals order by number desc limit 1
"""
# All transactions before xmin have ended: no older row can appear any more. Nor can one of an epoch
# before the one that this snapshot shows.
_NOW = """
select epoch, pg_snapshot_xmin(pg_current_snapshot())::text as xmin, clock_timestamp() as now
  from event_epochs
"""
_KEEP = """
insert into audit_seals (number, after_epoch, after_tx, after_id, upto_epoch, upto_tx, upto_id,
                         entries, root, previous, mac, sealed_at)
values (:number, :after_epoch, :after_tx::xid8, :after_id, :upto_epoch, :upto_tx::xid8, :upto_id,
        :entries, :root, :previous, :mac, :sealed_at)
on conflict (number) do nothing
"""


class ForeignAnchor(Exception):
    """Where the next seal belongs lies an object that this service did not make."""


def digest(
    db: Database, previous: bytes, after: Position, upto: Position, limit: int | None = None
) -> tuple[bytes, int, Position]:
    """The rows after ``after`` up to ``upto``, at most ``limit`` of them: SHA-256 over ``previous``
    and a line of JSON for each, their number, and where the last one stands. Raises Unavailable."""
    root, entries = hashlib.sha256(previous), 0
    while limit is None or entries < limit:
        page = _PAGE if limit is None else min(_PAGE, limit - entries)
        rows = db.all(
            _ROWS,
            epoch=after.epoch,
            tx=str(after.tx),
            id=after.id,
            upto_epoch=upto.epoch,
            upto_tx=str(upto.tx),
            upto_id=upto.id,
            limit=page,
        )
        for row in rows:
            line = [row[name] for name in _FIELDS]
            # As in an anchor: rows of the first epoch may have been sealed before there were any.
            if row["epoch"] != START.epoch:
                line.append(row["epoch"])
            root.update(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        if rows:
            after = Position(rows[-1]["epoch"], int(rows[-1]["tx"]), rows[-1]["id"])
        entries += len(rows)
        if len(rows) < page:
            break
    return root.digest(), entries, after


def seal(place: Place, *, batch: int = BATCH, budget_s: float = 20.0) -> int:
    """Seal what has been written since the last seal; how many rows that were.

    It may run twice at once, and be cut off anywhere. Raises Unavailable, ForeignAnchor.
    """
    lease = take(place.db, "seal-audit", _LEASE_S)
    if lease is None:
        return 0
    sealed, until = 0, time.monotonic() + budget_s
    try:
        while time.monotonic() < until:
            entries = _next(place, lease, batch)
            sealed += entries
            if not entries:
                break
    except LeaseLost:
        # Whoever has it adopts what this one had anchored.
        log.warning("seal_audit_overtaken", service=place.service)
    finally:
        release(place.db, lease)
    return sealed


def _next(place: Place, lease: Lease, batch: int) -> int:
    service, db = place.service, place.db
    newest, now = db.one(_NEWEST), db.all(_NOW)[0]
    last = Seal.of(service, newest) if newest else None
    after, previous = (last.upto, last.root) if last else (START, beginning(service))
    upto = Position(now["epoch"], int(now["xmin"]), 0)
    if after > upto:
        # The rows came from an older server, and nobody began a new epoch.
        log.error("audit_order_behind", service=service, sealed=after.tx, now=upto.tx)
        return 0
    root, entries, end = digest(db, previous, after, upto, batch)
    if not entries:
        return 0
    number = last.number + 1 if last else 1
    made = Seal(service, number, after, end, entries, previous, root, now["now"])
    seals = _anchored(place, made)

    def keep(tx: Tx) -> None:
        lease.hold(tx)
        for made in seals:
            tx.run(
                _KEEP,
                number=made.number,
                after_epoch=made.after.epoch,
                after_tx=str(made.after.tx),
                after_id=made.after.id,
                upto_epoch=made.upto.epoch,
                upto_tx=str(made.upto.tx),
                upto_id=made.upto.id,
                entries=made.entries,
                root=made.root,
                previous=made.previous,
                mac=made.mac,
                sealed_at=made.sealed_at,
            )

    db.transaction(keep, isolation="READ COMMITTED")
    return seals[-1].entries


def _anchored(place: Place, made: Seal) -> list[Seal]:
    """The seals to keep, of which the last one is over rows as they are.

    Usually that is ``made``. Where its anchor exists already, a run ended before the row was kept,
    and the anchor is adopted. If it is over other rows than there are, the database was restored to
    before it (or the rows were tampered with). It is adopted, too, so that verification names it,
    and the rows come under a seal behind all of these.
    """
    seals: list[Seal] = []
    while True:
        made = made.vouched(place.vault)
        if place.store.create(made.path, made.anchor()):
            return [*seals, made]
        found = _ours(place, made)
        seals.append(found)
        if digest(place.db, found.previous, found.after, found.upto)[0] == found.root:
            return seals
        log.error("audit_contradicts_anchor", service=made.service, number=made.number)
        root, _, _ = digest(place.db, found.root, made.after, made.upto)
        made = replace(made, number=made.number + 1, previous=found.root, root=root)


def _ours(place: Place, made: Seal) -> Seal:
    """The anchor that lies where ``made`` was to be created. Raises ForeignAnchor."""
    try:
        found = Seal.parse(place.store.get(made.path) or b"")
    except ValueError:
        found = None
    if (
        found is None
        or (found.service, found.number) != (made.service, made.number)
        or found.previous != made.previous
        or not found.genuine(place.vault)
    ):
        log.error("audit_anchor_foreign", service=made.service, number=made.number)
        raise ForeignAnchor
    return found
