"""From a commit in one service to its effect in another, against a bare publish and push.

Open loop: operations begin by the clock, whether or not earlier ones have been handled. The ends
are the times of commit that PostgreSQL itself records.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from uuid import UUID

from infra.bench.harness import Checks, Figure, Target, interleave, percentile
from infra.bench.place import Place
from infra.bench.services import BARE_TOPIC, Ticked
from infra.bench.wired import wait_for, wired
from shared.bus_embedded import EmbeddedBus
from shared.db import Database, Tx
from shared.messages import envelope
from shared.runtime import database
from shared.types import uuid7

__all__ = ["run"]

_RATE = 200  # per second
_OPERATIONS = 600  # per side and round
_SENDERS = 8
_EFFECT = "insert into effects (thing, what) values (:thing, 'sent')"
_TIMES = "select thing, pg_xact_commit_timestamp(xmin) as at from effects where what = :what"


def run(place: Place) -> list[Figure]:
    """Both sides through the same bus database, dispatcher and gunicorn."""
    with wired(place) as beta:
        return _Latency(place, beta).figures()


class _Latency:
    def __init__(self, place: Place, beta: Database) -> None:
        self.beta = beta
        self.alpha = place.admin("alpha_db")
        self.bus = EmbeddedBus(
            place.database_url("bus"), poke_socket=str(place.settings.run_dir / "bus.sock")
        )
        self.checks = Checks()
        self.times: dict[str, list[float]] = {"Ticked": [], "bare": []}
        self.medians: dict[str, list[float]] = {"Ticked": [], "bare": []}
        self.rates: list[float] = []

    def figures(self) -> list[Figure]:
        ours, bare = interleave(self._kit, self._bare)
        self.alpha.close()
        p50, p99 = (percentile(self.times["Ticked"], share) for share in (0.5, 0.99))
        bare99 = percentile(self.times["bare"], 0.99)
        operations = len(self.times["Ticked"])
        return [
            Figure(
                f"commit to handled by another service, open loop at {_RATE}/s: p99 of each round",
                "bare publish to handled: no outbox, no token, no inbox",
                "ms",
                ours,
                bare,
                Target("ratio", "at most", 2.0),
                self.checks,
                [
                    f"Over all rounds ({operations:,} operations): p50 {p50:.1f} ms, p99 "
                    f"{p99:.1f} ms; bare p99 {bare99:.1f} ms. Promised: p50 < 10, p99 < 50. "
                    f"Sent at {min(self.rates):.0f} to {max(self.rates):.0f}/s.",
                ],
            ),
            Figure(
                "the same: p50 of each round",
                "the same",
                "ms",
                self.medians["Ticked"],
                self.medians["bare"],
                Target("value", "at most", 10.0),
                self.checks,
            ),
        ]

    def _kit(self, number: int) -> float:
        db = database("alpha")

        def send(thing: UUID) -> None:
            def work(tx: Tx) -> None:
                tx.run(_EFFECT, thing=thing)
                tx.emit(Ticked(thing=thing))

            db.transaction(work)

        self._send_all(send)
        wait_for(self.beta, _OPERATIONS, ["Ticked"])
        began = {row["thing"]: row["at"].timestamp() for row in self.alpha.all(_TIMES, what="sent")}
        self.alpha.all("truncate effects")
        return self._collect("Ticked", began, number)

    def _bare(self, number: int) -> float:
        began: dict[UUID, float] = {}

        def send(thing: UUID) -> None:
            message = envelope(Ticked(thing=thing), source="alpha")
            began[thing] = time.time()
            self.bus.publish(BARE_TOPIC, [message])

        self._send_all(send)
        wait_for(self.beta, _OPERATIONS, ["bare"])
        return self._collect("bare", began, number)

    def _send_all(self, send: Callable[[UUID], None]) -> None:
        """Begin operation n at n/_RATE seconds."""
        start = time.perf_counter()

        def at(n: int) -> None:
            time.sleep(max(0.0, start + n / _RATE - time.perf_counter()))
            send(uuid7())

        with ThreadPoolExecutor(_SENDERS) as pool:
            list(pool.map(at, range(_OPERATIONS)))
        self.rates.append(_OPERATIONS / (time.perf_counter() - start))

    def _collect(self, what: str, began: dict[UUID, float], number: int) -> float:
        time.sleep(0.1)  # a duplicate would come now
        handled = self.beta.all(_TIMES, what=what)
        self.beta.all("truncate effects")
        seen = {row["thing"] for row in handled}
        self.checks.operations += _OPERATIONS
        self.checks.missed += _OPERATIONS - len(seen)
        # The bare side has no inbox: what the bus delivers twice is its own affair.
        if what == "Ticked":
            self.checks.duplicated += len(handled) - len(seen)
        took = [(row["at"].timestamp() - began[row["thing"]]) * 1000 for row in handled]
        if number:
            self.times[what] += took
            self.medians[what].append(median(took))
        return percentile(took, 0.99)
