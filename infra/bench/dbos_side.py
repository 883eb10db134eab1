"""``dbos`` carrying out workflows of three local steps, on request.

``python -m infra.bench.dbos_side URL THREADS``: for every line ``working N`` or ``idle N`` it
carries out N workflows and answers with the seconds that took. URL is its own database.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from shared.db import Database

__all__ = ["main"]

_STEPS = ("first", "second", "third")


def main(url: str, threads: int) -> None:
    """Serve until the input ends."""
    from dbos import DBOS

    database = Database(url)
    engine = DBOS(
        config={
            "name": "bench",
            "system_database_url": url.replace("postgresql://", "postgresql+psycopg://"),
            "sys_db_pool_size": 2 * threads,
            "log_level": "ERROR",
        }
    )

    def insert(thing: str, what: str) -> None:
        database.all(
            "insert into effects (thing, what) values (:thing, :what)", thing=thing, what=what
        )

    def nothing(thing: str, what: str) -> str:
        return f"{thing} {what}"

    steps: dict[str, Any] = {
        "working": DBOS.step(name="insert")(insert),
        "idle": DBOS.step(name="nothing")(nothing),
    }

    def workflow(kind: str, thing: str) -> None:
        for what in _STEPS:
            steps[kind](thing, what)

    saga: Any = DBOS.workflow(name="saga")(workflow)
    DBOS.launch()
    print("ready", flush=True)
    with ThreadPoolExecutor(threads) as pool:
        for line in sys.stdin:
            kind, count = line.split()
            began = time.perf_counter()
            things = [str(uuid4()) for _ in range(int(count))]
            list(pool.map(saga, [kind] * len(things), things))
            print(time.perf_counter() - began, flush=True)
    engine.destroy()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
