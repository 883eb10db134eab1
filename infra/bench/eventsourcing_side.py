"""``eventsourcing`` appending, replaying and being followed, on request.

``python -m infra.bench.eventsourcing_side URL THREADS``: URL is a database of its own. Every line
of the input is a command, answered by one line of JSON:

- ``append WRITERS COUNT BATCH``: seconds until WRITERS threads have appended COUNT events each,
  BATCH at a time, each thread to a record of its own;
- ``replay COUNT``: seconds for reading a record of COUNT events back from the database;
- ``follow WRITERS COUNT BATCH``: the same as append while a reader follows; how many events there
  are, and how many of them the reader missed and saw twice.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["PAYLOAD", "main"]

PAYLOAD = {"town": "Cluj-Napoca", "street": "Strada Memorandumului 28", "far": False}


def main(url: str, threads: int) -> None:
    """Serve until the input ends."""
    from eventsourcing.application import Application

    os.environ.update(_environment(url, threads))
    side = _Side(Application(), threads)
    print("ready", flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        print(json.dumps(getattr(side, command)(*map(int, numbers))), flush=True)


def _environment(url: str, threads: int) -> dict[str, str]:
    """Its defaults, but for a connection per thread from the beginning."""
    parts = urlsplit(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": parse_qs(parts.query)["host"][0],
        "POSTGRES_PORT": "5432",
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
        "POSTGRES_POOL_SIZE": str(threads + 1),
    }


def _record() -> Any:
    """A record as its documentation declares one."""
    from eventsourcing.domain import Aggregate, event
    from eventsourcing.utils import register_topic

    def move(self: Any, town: str, street: str, far: bool) -> None:
        self.town, self.street, self.far = town, street, far

    methods = {"__module__": __name__, "move": event("Moved")(move)}
    record: Any = type("Record", (Aggregate,), methods)
    # It finds classes by their names, and this one has none outside of here.
    for topic, kind in (("record", record), ("created", record.Created), ("moved", record.Moved)):
        register_topic(topic, kind)
    return record


class _Side:
    def __init__(self, app: Any, threads: int) -> None:
        self.app, self.kind = app, _record()
        self.pool = ThreadPoolExecutor(threads)
        self.long: dict[int, Any] = {}
        self.append(threads, 1, 1)

    def append(self, writers: int, count: int, batch: int) -> float:
        records = [self.kind() for _ in range(writers)]
        self.app.save(*records)
        began = time.perf_counter()
        list(self.pool.map(self._write, records, [count] * writers, [batch] * writers))
        return time.perf_counter() - began

    def _write(self, record: Any, count: int, batch: int) -> None:
        for _ in range(count // batch):
            for _ in range(batch):
                record.move(**PAYLOAD)
            self.app.save(record)

    def replay(self, count: int) -> float:
        record = self.long.get(count)
        if record is None:
            record = self.long[count] = self.kind()
            self._write(record, count, count)
        began = time.perf_counter()
        read = self.app.repository.get(record.id)
        seconds = time.perf_counter() - began
        if (read.version, read.town) != (record.version, record.town):
            raise AssertionError("another record than was written")
        return seconds

    def follow(self, writers: int, count: int, batch: int) -> dict[str, int]:
        recorder = self.app.recorder
        start = recorder.max_notification_id() or 0
        seen: list[int] = []
        over = threading.Event()

        def read() -> None:
            last = start
            while True:
                ended = over.is_set()
                page = recorder.select_notifications(last, 1_000, inclusive_of_start=False)
                seen.extend(notification.id for notification in page)
                last = seen[-1] if seen else last
                if ended and not page:
                    return

        self._beside(read, lambda: self.append(writers, count, batch), over)
        there = recorder.select_notifications(start, 1_000_000, inclusive_of_start=False)
        ids = {notification.id for notification in there}
        return {
            "events": len(ids),
            "missed": len(ids - set(seen)),
            "doubled": len(seen) - len(set(seen)),
        }

    def _beside(
        self, read: Callable[[], None], write: Callable[[], float], over: threading.Event
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read)
            try:
                write()
            finally:
                over.set()
            reading.result()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
