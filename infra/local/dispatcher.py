"""The embedded bus's delivering side: takes rows of the bus database and pushes them.

One process: a taker reads new rows (at once when a publisher pokes it, else every 250 ms), some
pushers deliver them, a settler makes the results durable in batches. Killed at any moment it
loses nothing: what was not settled is pushed again after the next start.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from queue import SimpleQueue

from infra.local.bell import Bell
from infra.local.dispatch_queue import Delivery, DispatchQueue, Outcome, Verdict
from infra.local.dispatch_store import DispatchStore, Settlement
from infra.local.push import Pusher, Signer
from shared import log
from shared.bus import Subscription
from shared.bus_embedded import configure
from shared.db import Database
from shared.errors import Unavailable

__all__ = ["Dispatcher"]

_LOOK_EVERY = 0.25  # seconds between two looks without a poke
_BATCH = 200  # rows taken at once per subscription
_REFILL = 50  # rows fetched at once for a key with many
_LINGER = 0.02  # seconds; acknowledgements are settled together, only duplicates depend on it
_RETRY = 0.2  # seconds between two tries while the bus database is away


class Dispatcher:
    """Delivers the messages of ``subscriptions`` from ``start`` until ``stop``."""

    def __init__(
        self,
        bus_url: str,
        subscriptions: Sequence[Subscription],
        signer: Signer,
        *,
        topics: Iterable[str] = (),
        poke_socket: Path | None = None,
        pushers: int = 8,
    ) -> None:
        """``topics`` are those to create besides the subscribed ones; see ``configure``."""
        self._database = Database(bus_url)
        self._subscriptions = subscriptions
        self._topics = topics
        self._pusher = Pusher(signer)
        self._poke_socket = poke_socket
        self._count = pushers
        self._results: SimpleQueue[tuple[Verdict, Delivery] | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Create what is missing and begin. Raises AlreadyRunning, Unavailable, ValueError."""
        self._bell = Bell(self._poke_socket)
        try:
            ids = configure(self._database, self._subscriptions, self._topics)
            self._store = DispatchStore(self._database, self._subscriptions, ids)
            # What an earlier process had taken and not settled is nobody's now.
            self._store.release([])
        except BaseException:
            self._bell.close()
            raise
        self._queue = DispatchQueue(pushers=self._count, wake=self._bell.ring)
        work = [("taker", self._take_all), ("settler", self._settle_all)]
        work += [(f"pusher-{n}", self._push_all) for n in range(self._count)]
        self._threads = [threading.Thread(target=f, name=n, daemon=True) for n, f in work]
        for thread in self._threads:
            thread.start()
        log.info("dispatcher_started", subscriptions=len(self._subscriptions))

    def stop(self, timeout: float = 5.0) -> None:
        """Finish the pushes in flight (for up to ``timeout`` seconds), settle, and end."""
        if not self._threads:
            return
        until = time.monotonic() + timeout
        self._stopping.set()
        self._queue.close()
        self._bell.ring()
        taker, settler, *pushers = self._threads
        for thread in (taker, *pushers):
            thread.join(max(0.0, until - time.monotonic()))
        self._results.put(None)
        settler.join(max(0.5, until - time.monotonic()))
        self._pusher.close()
        self._bell.close()
        self._threads = []

    def _take_all(self) -> None:
        lost = False
        while not self._stopping.is_set():
            try:
                if lost:
                    # A take whose answer was lost has marked rows that nobody holds.
                    self._store.release(self._queue.known())
                    lost = False
                if not self._take():
                    self._bell.wait(_LOOK_EVERY)
            except Exception as error:  # noqa: BLE001 -- the taker must outlive any fault
                lost = True
                _report_fault(error)
                self._stopping.wait(_RETRY)
        self._database.close()

    def _take(self) -> bool:
        """Fill the queue; is there likely more at once?"""
        for lane, after in self._queue.refills():
            rest = self._store.rest(lane, after, _REFILL)
            self._queue.refill(lane, rest, complete=len(rest) < _REFILL)
        rooms = {s.name: min(_BATCH, self._queue.room(s.name)) for s in self._subscriptions}
        rooms = {name: room for name, room in rooms.items() if room}
        if not rooms:
            return False
        taken = self._store.take(rooms)
        self._queue.add(taken)
        return len(taken) >= _BATCH

    def _push_all(self) -> None:
        while (delivery := self._queue.next()) is not None:
            try:
                outcome, reason = self._pusher.push(delivery)
            except Exception as error:  # noqa: BLE001 -- a message must never end its pusher
                outcome, reason = Outcome.FAILED, type(error).__name__
            verdict = self._queue.done(delivery, outcome)
            if verdict is not Verdict.DELETE:
                _report(delivery, verdict, reason)
            if verdict is not Verdict.NOTHING:
                self._results.put((verdict, delivery))

    def _settle_all(self) -> None:
        ended = False
        while not ended:
            results = [self._results.get()]
            time.sleep(_LINGER)
            while not self._results.empty():
                results.append(self._results.get())
            ended = None in results
            settlement = Settlement()
            for verdict, delivery in filter(None, results):
                if verdict is Verdict.DELETE:
                    settlement.deleted.append(delivery.id)
                elif verdict is Verdict.DEAD_LETTER:
                    settlement.dead.append(delivery)
                else:
                    settlement.counted[delivery.id] = delivery.attempts
            self._settle(settlement)
        self._database.close()

    def _settle(self, settlement: Settlement) -> None:
        """Settle, for as long as it takes; on the way out only once."""
        while True:
            try:
                self._store.settle(settlement)
            except Exception as error:  # noqa: BLE001 -- unsettled results must not be dropped
                _report_fault(error)
                if self._stopping.wait(_RETRY):
                    return
                continue
            self._queue.forget(settlement.gone())
            if settlement.dead:
                self._bell.ring()
            return


def _report_fault(error: Exception) -> None:
    if isinstance(error, Unavailable):
        log.warning("bus_database_away")
    else:
        log.error("dispatcher_fault", exc=error)


def _report(delivery: Delivery, verdict: Verdict, reason: str) -> None:
    write = log.error if verdict is Verdict.DEAD_LETTER else log.warning
    write(
        "message_dead_lettered" if verdict is Verdict.DEAD_LETTER else "push_failed",
        subscription=delivery.subscription.name,
        message=delivery.message_id,
        attempts=delivery.attempts,
        reason=reason,
    )


if __name__ == "__main__":
    import sys

    from infra.local.bus_process import run

    if len(sys.argv) != 2:
        sys.exit("usage: python -m infra.local.dispatcher WIRING.json")
    sys.exit(run(Path(sys.argv[1])))
