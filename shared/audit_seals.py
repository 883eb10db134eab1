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
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from shared import log
from shared.blobs import Blobs
from shared.crypto import Vault
from shared.db import Database, Row
from shared.leases import Lease, LeaseLost, release, take

__all__ = [
    "START",
    "ForeignAnchor",
    "Position",
    "Seal",
    "beginning",
    "digest",
    "folder",
    "path",
    "seal",
]

BATCH = 50_000
_PAGE = 5_000
_LEASE_S = 60.0
_PURPOSE = "audit"


class Place(NamedTuple):
    """Where a service's audit log and its seals are kept."""

    service: str
    db: Database
    vault: Vault
    store: Blobs


class Position(NamedTuple):
    """A place in the order in which rows are sealed."""

    tx: int
    id: int


START = Position(0, 0)

# Every column, as text that does not depend on the session.
_ROWS = """
select id, tx::text as tx, actor::text as actor, service, roles, person_id::text as person_id,
       action, what, purpose, correlation_id,
       to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at
  from audit_log
 where (tx, id) > (:tx::xid8, :id::bigint) and (tx, id) <= (:upto_tx::xid8, :upto_id::bigint)
 order by tx, id limit :limit
"""
_FIELDS = (
    *("id", "tx", "at", "actor", "service", "roles", "person_id"),
    *("action", "what", "purpose", "correlation_id"),
)
_NEWEST = """
select number, upto_tx::text as upto_tx, upto_id, entries, root, previous, mac, sealed_at
  from audit_seals order by number desc limit 1
"""
# All transactions before xmin have ended: no older row can appear any more.
_NOW = """
select pg_snapshot_xmin(pg_current_snapshot())::text as xmin, clock_timestamp() as now
"""
_KEEP = """
insert into audit_seals (number, upto_tx, upto_id, entries, root, previous, mac, sealed_at)
values (:number, :upto_tx::xid8, :upto_id, :entries, :root, :previous, :mac, :sealed_at)
on conflict (number) do nothing
"""


class ForeignAnchor(Exception):
    """Where the next seal belongs lies an object that this service did not make."""


@dataclass(frozen=True)
class Seal:
    """The rows after the seal before, up to ``upto``: how many, and their digest."""

    service: str
    number: int
    upto: Position
    entries: int
    previous: bytes
    """The digest of the seal before."""
    root: bytes
    sealed_at: datetime
    mac: bytes = b""

    @classmethod
    def of(cls, service: str, row: Row) -> Self:
        """From a row of ``audit_seals``."""
        fields = {name: row[name] for name in ("number", "entries", "previous", "root", "mac")}
        upto = Position(int(row["upto_tx"]), row["upto_id"])
        return cls(service=service, upto=upto, sealed_at=row["sealed_at"], **fields)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From an anchor. Raises ValueError."""
        try:
            found: Mapping[str, Any] = json.loads(data)
            return cls(
                service=str(found["service"]),
                number=int(found["number"]),
                upto=Position(*map(int, found["upto"])),
                entries=int(found["entries"]),
                previous=bytes.fromhex(found["previous"]),
                root=bytes.fromhex(found["root"]),
                sealed_at=datetime.fromisoformat(found["sealed_at"]),
                mac=bytes.fromhex(found["mac"]),
            )
        except (KeyError, TypeError) as fault:
            raise ValueError("not an anchor") from fault

    def anchor(self) -> bytes:
        """The object outside the database."""
        return json.dumps(self._shown(), sort_keys=True).encode()

    @property
    def path(self) -> str:
        """Where the anchor lies."""
        return path(self.service, self.number)

    def vouched(self, vault: Vault) -> Self:
        """This seal with the service's word for it. Raises Unavailable."""
        return replace(self, mac=vault.mac(_PURPOSE, self._content()))

    def genuine(self, vault: Vault) -> bool:
        """Whether it has the service's word. Raises Unavailable."""
        return vault.vouched(_PURPOSE, self._content(), self.mac)

    def _content(self) -> bytes:
        return replace(self, mac=b"").anchor()

    def _shown(self) -> dict[str, Any]:
        shown = {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in asdict(self).items()
        }
        at = self.sealed_at.astimezone(UTC).isoformat(timespec="microseconds")
        return {**shown, "upto": [str(self.upto.tx), str(self.upto.id)], "sealed_at": at}


def folder(service: str) -> str:
    """Where the anchors of a service lie."""
    return f"audit/{service}"


def path(service: str, number: int) -> str:
    """Where the anchor of seal ``number`` lies; paths sort as numbers do."""
    return f"{folder(service)}/{number:010}.json"


def beginning(service: str) -> bytes:
    """What the first seal follows."""
    return hashlib.sha256(f"dentalhelp audit {service}".encode()).digest()


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
            tx=str(after.tx),
            id=after.id,
            upto_tx=str(upto.tx),
            upto_id=upto.id,
            limit=page,
        )
        for row in rows:
            line = [row[name] for name in _FIELDS]
            root.update(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        if rows:
            after = Position(int(rows[-1]["tx"]), rows[-1]["id"])
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
    upto = Position(int(now["xmin"]), 0)
    if after > upto:
        # The rows came from an older server: nothing new would ever be sealed.
        log.error("audit_order_behind", service=service, sealed=after.tx, now=upto.tx)
        return 0
    root, entries, end = digest(db, previous, after, upto, batch)
    if not entries:
        return 0
    number = last.number + 1 if last else 1
    made = Seal(service, number, end, entries, previous, root, now["now"])
    made = made.vouched(place.vault)
    if not place.store.create(made.path, made.anchor()):
        made = _adopted(place, made, after)

    def keep(tx: Any) -> None:
        lease.hold(tx)
        tx.run(
            _KEEP,
            number=made.number,
            upto_tx=str(made.upto.tx),
            upto_id=made.upto.id,
            entries=made.entries,
            root=made.root,
            previous=made.previous,
            mac=made.mac,
            sealed_at=made.sealed_at,
        )

    db.transaction(keep, isolation="READ COMMITTED")
    return made.entries


def _adopted(place: Place, made: Seal, after: Position) -> Seal:
    """The seal that lies where ``made`` was to be created: of a run that ended in between."""
    try:
        found = Seal.parse(place.store.get(made.path) or b"")
    except ValueError:
        found = None
    ours = found and (found.service, found.number, found.previous) == (
        made.service,
        made.number,
        made.previous,
    )
    if found is None or not ours or not found.genuine(place.vault):
        log.error("audit_anchor_foreign", service=made.service, number=made.number)
        raise ForeignAnchor
    root, _, _ = digest(place.db, found.previous, after, found.upto)
    if root != found.root:
        # Somebody was faster than the row. It is kept as it is: verification names it.
        log.error("audit_contradicts_anchor", service=made.service, number=made.number)
    return found
