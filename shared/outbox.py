"""The transactional outbox without a resident process.

A request publishes its own rows after its commit, under a lease and a fencing token; whatever it
leaves behind (it died, the broker was away, another writer of the key was ahead) the sweeper
sends, in order. Three rules keep one key's messages in order (docs/decisions/0003):

- a row is leased to its own writer only if no earlier row of its key is waiting;
- rows are taken and published in runs from the head of a key;
- who has marked rows looks, in a new statement, for more of the key and drains it.

Stale writers can only duplicate, and the inbox removes duplicates.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import log
from shared.bus import BusUnavailable, Publisher
from shared.errors import Unavailable
from shared.messages import Envelope, envelope
from shared.wire import ConnectionLost, SqlError, Statement

if TYPE_CHECKING:
    from shared.db import Database, Pending, Row, Tx

__all__ = ["Leased", "Outbox"]

# How long a writer may take from its insert to its mark; a sweep waits that long after a crash.
WRITER_LEASE_S = 10
SWEEPER_LEASE_S = 30
# A writer whose lease is nearly over must not publish: somebody else may be about to.
_MARGIN_S = 2
_KEYS = 200
_PER_KEY = 500
_AWAY_PAUSE_S = 1.0

_INSERT = """
with f as materialized (select nextval('outbox_fence') as fence)
insert into outbox (topic, key, envelope, fence, lease_until)
select m.topic, m.key, m.envelope, f.fence,
       case when exists (select from outbox o where o.topic = m.topic and o.key = m.key)
            then '-infinity'::timestamptz
            else clock_timestamp() + make_interval(secs => :lease) end
  from f, rows from (json_to_recordset(:rows::json) as (topic text, key text, envelope text))
          with ordinality as m(topic, key, envelope, n)
 order by m.n
returning id, fence, lease_until > '-infinity' as mine
"""

_MARK = "delete from outbox where id = any(:ids::bigint[]) and fence = :fence"

# The run at the head of each of some keys, if nobody holds it.
_CLAIM_KEYS = """
with f as materialized (select nextval('outbox_fence') as fence),
k as (select * from unnest(:topics::text[], :keys::text[]) as k(topic, key)),
h as materialized (
  select o.topic, o.key, o.id from k join outbox o on o.id =
         (select min(x.id) from outbox x where x.topic = k.topic and x.key = k.key)
   where o.lease_until < clock_timestamp() for update of o skip locked),
r as (
  select x.id from h cross join lateral (
    select o.id from outbox o where o.topic = h.topic and o.key = h.key and o.id >= h.id
     order by o.id limit :per_key) x)
update outbox o set fence = f.fence, attempts = attempts + 1,
       lease_until = clock_timestamp() + make_interval(secs => :lease)
  from r, f where o.id = r.id
returning o.id, o.topic, o.key, o.envelope, o.fence, o.attempts
"""

# The same for up to :n keys after (:topic, :key), found by a skip scan over the index.
_CLAIM_NEXT = """
with recursive f as materialized (select nextval('outbox_fence') as fence),
k (topic, key, id, n) as (
  (select topic, key, id, 1 from outbox where (topic, key) > (:topic::text, :key::text)
    order by topic, key, id limit 1)
  union all
  select x.* from k cross join lateral (
    select o.topic, o.key, o.id, k.n + 1 from outbox o
     where (o.topic, o.key) > (k.topic, k.key) order by o.topic, o.key, o.id limit 1) x
   where k.n < :n),
h as materialized (
  select o.topic, o.key, o.id from k join outbox o on o.id = k.id
   where o.lease_until < clock_timestamp() for update of o skip locked),
r as (
  select x.id from h cross join lateral (
    select o.id from outbox o where o.topic = h.topic and o.key = h.key and o.id >= h.id
     order by o.id limit :per_key) x),
claimed as (
  update outbox o set fence = f.fence, attempts = attempts + 1,
         lease_until = clock_timestamp() + make_interval(secs => :lease)
    from r, f where o.id = r.id
  returning o.id, o.topic, o.key, o.envelope, o.fence, o.attempts)
select c.*, l.topic as last_topic, l.key as last_key, l.n as seen
  from (select topic, key, n from k order by n desc limit 1) l left join claimed c on true
"""

_RELEASE = """
update outbox set lease_until = clock_timestamp() + make_interval(secs => :wait)
 where id = any(:ids::bigint[]) and fence = :fence
"""


@dataclass(slots=True)
class Leased:
    """What a writer may publish (``rows``), and keys whose head was somebody else's."""

    rows: list[Row]
    behind: list[tuple[str, str]]
    deadline: float
    """On this process's monotonic clock (s)."""


class Outbox:
    """The outbox of one service: writes in its transactions, publishes after them."""

    def __init__(self, service: str, bus: Publisher) -> None:
        self._service = service
        self._bus = bus
        self._db: Database | None = None
        self._away_until = 0.0
        self._next_sweep = time.monotonic() + WRITER_LEASE_S
        self._gate = threading.Lock()

    def bind(self, db: Database) -> None:
        """Say which database the rows are in (it holds this outbox, so it comes second)."""
        self._db = db

    def write(self, tx: Tx, pending: list[Pending]) -> Leased:
        """Insert ``pending`` as the transaction's last statement, and commit with it."""
        # With the broker known to be away nothing is leased: the sweeper need not wait for it.
        lease = WRITER_LEASE_S if time.monotonic() >= self._away_until else 0
        deadline = time.monotonic() + lease - _MARGIN_S
        texts: list[Row] = []
        for item in pending:
            sent = envelope(
                item.message,
                source=self._service,
                key=item.key,
                version=item.version,
                event_id=item.event_id,
                saga=item.saga,
            )
            texts.append(
                {"topic": self._service, "key": sent.ordering_key, "envelope": sent.to_json()}
            )
        found = tx.finish(_INSERT, rows=json.dumps(texts), lease=lease)
        rows, behind = [], []
        for text, row in zip(texts, sorted(found, key=lambda row: row["id"]), strict=True):
            if row["mine"]:
                rows.append({**text, **row})
            else:
                behind.append((text["topic"], text["key"]))
        return Leased(rows, list(dict.fromkeys(behind)), deadline)

    def publish(self, leased: Leased) -> None:
        """Send what this writer holds, then drain what gathered behind it. Never raises."""
        try:
            if time.monotonic() < self._away_until:
                return
            keys = leased.behind + [(row["topic"], row["key"]) for row in leased.rows]
            rows = leased.rows if time.monotonic() < leased.deadline else []
            self._drain(rows, list(dict.fromkeys(keys)))
            self._sweep_now_and_then()
        except (BusUnavailable, Unavailable) as error:
            log.warning("outbox_left_to_sweeper", reason=type(error).__name__)
        except Exception as error:  # noqa: BLE001 -- the commit stands: the caller must hear so
            log.error("outbox_publish_failed", exc=error)

    def sweep(self, *, budget_s: float = 20.0, keys: int = _KEYS, per_key: int = _PER_KEY) -> int:
        """Publish every run whose lease is over, key by key; how many rows were sent.

        Any number of sweepers may run at once. Raises BusUnavailable, Unavailable.
        """
        sent, topic, key = 0, "", ""
        until = time.monotonic() + budget_s
        while time.monotonic() < until:
            claim = Statement(
                _CLAIM_NEXT,
                {"topic": topic, "key": key, "n": keys, "per_key": per_key}
                | {"lease": SWEEPER_LEASE_S},
            )
            found = self._database.pipeline(claim)[0].rows
            if not found:
                break
            rows = [row for row in found if row["id"] is not None]
            if rows:
                owned = list(dict.fromkeys((row["topic"], row["key"]) for row in rows))
                sent += self._drain(rows, owned, until=until, per_key=per_key)
            topic, key = found[0]["last_topic"], found[0]["last_key"]
        return sent

    def backlog(self) -> Row:
        """``{"rows": n, "leased": n}`` waiting now."""
        row = self._database.one(
            "select count(*) as rows, count(*) filter (where lease_until >= clock_timestamp())"
            " as leased from outbox"
        )
        return row or {}

    @property
    def _database(self) -> Database:
        if self._db is None:
            raise RuntimeError("bind the outbox to its database first")
        return self._db

    def _drain(
        self,
        rows: list[Row],
        keys: Sequence[tuple[str, str]],
        *,
        until: float | None = None,
        per_key: int = _PER_KEY,
    ) -> int:
        """Publish ``rows`` and mark them, then go on with what waits behind ``keys``."""
        until = until or time.monotonic() + WRITER_LEASE_S
        sent = 0
        while True:
            batch: list[Statement] = []
            if rows:
                rows.sort(key=lambda row: row["id"])
                self._send(rows)
                sent += len(rows)
                params = {"ids": [row["id"] for row in rows], "fence": rows[0]["fence"]}
                batch.append(Statement(_MARK, params))
            if time.monotonic() < until:
                # In a statement of its own: its snapshot sees what committed before the mark.
                batch.append(
                    Statement(
                        _CLAIM_KEYS,
                        {
                            "topics": [topic for topic, _ in keys],
                            "keys": [key for _, key in keys],
                            "per_key": per_key,
                            "lease": SWEEPER_LEASE_S,
                        },
                    )
                )
            if not batch:
                return sent
            answers = self._database.pipeline(*batch)
            if rows and answers[0].count != len(rows):
                log.warning("outbox_lease_lost", rows=len(rows), marked=answers[0].count)
            rows = answers[-1].rows
            if not rows:
                return sent

    def _send(self, rows: list[Row]) -> None:
        batches: dict[str, list[Envelope]] = {}
        for row in rows:
            batches.setdefault(row["topic"], []).append(Envelope.parse(row["envelope"]))
        try:
            for topic, envelopes in batches.items():
                self._bus.publish(topic, envelopes)
        except BusUnavailable:
            self._away_until = time.monotonic() + _AWAY_PAUSE_S
            self._release(rows)
            raise

    def _release(self, rows: list[Row]) -> None:
        """Hand rows back early, the later the more often they have failed."""
        wait = min(2 ** int(rows[0].get("attempts", 0)) / 4, 5)
        params: dict[str, Any] = {"ids": [row["id"] for row in rows], "fence": rows[0]["fence"]}
        try:
            self._database.pipeline(Statement(_RELEASE, {**params, "wait": wait}))
        except (Unavailable, ConnectionLost, SqlError):
            log.warning("outbox_release_failed", rows=len(rows))

    def _sweep_now_and_then(self) -> None:
        """The cloud's scheduler ticks once a minute; traffic mends crashes sooner."""
        with self._gate:
            now = time.monotonic()
            if now < self._next_sweep:
                return
            self._next_sweep = now + WRITER_LEASE_S / 2
        self.sweep(budget_s=0.2, keys=20, per_key=50)
