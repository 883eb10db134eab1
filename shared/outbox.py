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

from shared import faults, log
from shared import outbox_sql as sql
from shared.bus import BusUnavailable, Publisher
from shared.errors import Unavailable
from shared.messages import attributes, envelope
from shared.telemetry import counted
from shared.wire import SqlError, Statement

if TYPE_CHECKING:
    from shared.db import Database, Row
    from shared.tx import Pending, Tx

__all__ = ["Leased", "Outbox"]

# How long a writer may take from its insert to its mark; a sweep waits that long after a crash.
WRITER_LEASE_S = 10
SWEEPER_LEASE_S = 30
# A writer whose lease is nearly over must not publish: somebody else may be about to.
_MARGIN_S = 2
_AWAY_PAUSE_S = 1.0
# How long a request may go on sending what gathered behind its own rows.
_DRAIN_S = 1.0
# Keys of one claim, and rows of one publish: what a small instance can hold, and what the broker
# takes well within a lease. The fewer keys are left, the longer are their runs.
_KEYS = 200
_ROWS = 2000
# What one transaction emits, mostly.
_FEW = 8
# Larger than any message that makes sense and below every broker's limit: a message the broker
# can never take would stop its key for ever.
_MAX_BYTES = 1 << 20


@dataclass(slots=True)
class Leased:
    """What a writer may publish (``rows``), and keys whose head was somebody else's."""

    rows: list[Row]
    behind: list[tuple[str, str]]
    deadline: float
    """On this process's monotonic clock (s)."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A row as the bus wants it: the text goes out as it was written."""

    ordering_key: str
    text: str

    def to_json(self) -> str:
        return self.text

    def attributes(self) -> dict[str, str]:
        read = json.loads(self.text)
        return attributes(read["event_type"], read["metadata"])


class Outbox:
    """The outbox of one service: writes in its transactions, publishes after them."""

    def __init__(self, service: str, bus: Publisher, *, lease_s: float | None = None) -> None:
        """``lease_s``: how long a writer's lease is, when not ``WRITER_LEASE_S``."""
        self._service = service
        self._lease_s = lease_s
        self._bus = bus
        self._db: Database | None = None
        self._away_until = 0.0
        self._next_sweep = time.monotonic() + WRITER_LEASE_S
        self._gate = threading.Lock()

    def bind(self, db: Database) -> None:
        """Say which database the rows are in; whoever makes that with this outbox need not."""
        self._db = db

    def write(self, tx: Tx, pending: list[Pending], *before: Statement) -> Leased:
        """Insert ``pending`` as the transaction's last statement, and commit with it; ``before``
        travels ahead of it."""
        # With the broker known to be away nothing is leased: the sweeper need not wait for it.
        lease = self._lease_s or WRITER_LEASE_S
        if time.monotonic() < self._away_until:
            lease = 0
        deadline = time.monotonic() + lease - min(_MARGIN_S, lease / 2)
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
            text = sent.to_json()
            if len(text.encode()) > _MAX_BYTES:
                raise ValueError(f"{sent.event_type} is too large to send")
            topic = item.message.shared_topic or self._service
            texts.append({"topic": topic, "key": sent.ordering_key, "envelope": text})
        if len(texts) == 1:
            insert = Statement(sql.INSERT_ONE, {**texts[0], "lease": lease})
        else:
            insert = Statement(sql.INSERT, {"rows": json.dumps(texts), "lease": lease})
        found = tx.close_with(*before, insert)[-1].rows
        rows, behind = [], []
        for written, row in zip(texts, sorted(found, key=lambda row: row["id"]), strict=True):
            if row["mine"]:
                rows.append({**written, **row})
            else:
                behind.append((written["topic"], written["key"]))
        return Leased(rows, list(dict.fromkeys(behind)), deadline)

    def publish(self, leased: Leased) -> None:
        """Send what this writer holds, then drain what gathered behind it. Never raises."""
        try:
            faults.point("outbox.committed")
            if time.monotonic() < self._away_until:
                return
            now = time.monotonic()
            rows = leased.rows if now < leased.deadline else []
            if rows or leased.behind:
                self._drain(rows, leased.behind, now + _DRAIN_S)
            self._sweep_now_and_then()
        except (BusUnavailable, Unavailable) as error:
            counted("dentalhelp.outbox.unpublished")
            log.warning("outbox_left_to_sweeper", reason=type(error).__name__)
        except Exception as error:  # noqa: BLE001 -- the commit stands: the caller must hear so
            log.error("outbox_publish_failed", exc=error)

    def sweep(self, *, budget_s: float = 20.0) -> int:
        """Publish every run whose lease is over, key by key; how many rows were sent.

        Any number of sweepers may run at once. Raises BusUnavailable, Unavailable.
        """
        sent, topic, key = 0, "", ""
        until = time.monotonic() + budget_s
        while time.monotonic() < until:
            found = self._database.all(
                sql.CLAIM_NEXT,
                topic=topic,
                key=key,
                n=_KEYS,
                per_key=_ROWS // _KEYS,
                lease=SWEEPER_LEASE_S,
            )
            if not found:
                break
            last = found.pop()
            topic, key = last["topic"], last["key"]
            if found:
                sent += self._drain(found, [], until)
        return sent

    def backlog(self) -> Row:
        """``{"rows": n, "leased": n}``: rows waiting, and how many of them are under a lease."""
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

    def _drain(self, rows: list[Row], keys: Sequence[tuple[str, str]], until: float) -> int:
        """Publish ``rows`` and mark them, then go on with what waits behind them and ``keys``.

        At ``until`` (s, monotonic) it stops; what is left is nobody's and free to claim.
        """
        sent = 0
        while True:
            batch: list[Statement] = []
            if rows:
                rows.sort(key=lambda row: row["id"])
                self._send(rows)
                faults.point("outbox.published")
                sent += len(rows)
                batch.append(_mark(rows))
            keys = list(dict.fromkeys([*keys, *((row["topic"], row["key"]) for row in rows)]))
            # A few rows are mostly all there is of their keys: ask before claiming more.
            probing = 0 < len(rows) <= _FEW
            if time.monotonic() < until:
                # In a statement of its own: its snapshot sees what committed before the mark.
                batch.append(_probe(keys) if probing else _claim(keys))
            if not batch:
                return sent
            answers = self._database.pipeline(*batch)
            if rows and answers[0].count != len(rows):
                log.warning("outbox_lease_lost", rows=len(rows), marked=answers[0].count)
            if len(batch) == 1 and rows:
                return sent
            rows = answers[-1].rows
            if probing:
                if not rows[0]["more"]:
                    return sent
                rows = []
                continue
            keys = []
            if not rows:
                return sent

    def _send(self, rows: list[Row]) -> None:
        batches: dict[str, list[_Stored]] = {}
        for row in rows:
            batches.setdefault(row["topic"], []).append(_Stored(row["key"], row["envelope"]))
        try:
            for topic, messages in batches.items():
                self._bus.publish(topic, messages)
        except BusUnavailable:
            self._away_until = time.monotonic() + _AWAY_PAUSE_S
            self._release(rows)
            raise

    def _release(self, rows: list[Row]) -> None:
        """Hand rows back early, the later the more often they have failed."""
        wait = min(2 ** int(rows[0].get("attempts", 0)) / 4, 5)
        try:
            self._database.all(sql.RELEASE, **_held(rows), wait=wait)
        except (Unavailable, SqlError):
            log.warning("outbox_release_failed", rows=len(rows))

    def _sweep_now_and_then(self) -> None:
        """The cloud's scheduler ticks once a minute; traffic mends crashes sooner."""
        with self._gate:
            now = time.monotonic()
            if now < self._next_sweep:
                return
            self._next_sweep = now + WRITER_LEASE_S / 2
        self.sweep(budget_s=0.2)


def _mark(rows: list[Row]) -> Statement:
    """Take ``rows`` away, as far as they are still ours."""
    held = _held(rows)
    if len(held["heads"]) == len(rows):
        return Statement(sql.MARK_HEADS, held)
    return Statement(sql.MARK, {**held, "ids": [row["id"] for row in rows]})


def _probe(keys: Sequence[tuple[str, str]]) -> Statement:
    return Statement(sql.PROBE, _named(keys))


def _claim(keys: Sequence[tuple[str, str]]) -> Statement:
    more = {"per_key": max(1, _ROWS // len(keys)), "lease": SWEEPER_LEASE_S}
    return Statement(sql.CLAIM_KEYS, {**_named(keys), **more})


def _named(keys: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {"topics": [topic for topic, _ in keys], "keys": [key for _, key in keys]}


def _held(rows: list[Row]) -> dict[str, Any]:
    """Parameters that name our runs: their heads, and the fence of the insert or claim."""
    heads: dict[tuple[str, str], int] = {}
    for row in rows:
        heads.setdefault((row["topic"], row["key"]), row["id"])
    return {"heads": list(heads.values()), "fence": rows[0]["fence"]}
