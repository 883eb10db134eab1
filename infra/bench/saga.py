"""Sagas of three steps, each in another service, against ``dbos`` with three local steps."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from infra.bench.harness import Checks, Figure, Target, interleave
from infra.bench.place import SYNTHETIC, Place
from infra.bench.rival import Rival
from infra.bench.services import opening
from infra.bench.wired import wired
from infra.local.postgres import create_service_database
from shared.db import Database, Tx
from shared.runtime import database
from shared.types import uuid7

__all__ = ["run"]

_SAGAS = 200  # per round
_THREADS = 8
_STEPS = {"alpha": "OpenAlpha", "beta": "OpenBeta", "gamma": "OpenGamma"}


def run(place: Place) -> list[Figure]:
    """All on one PostgreSQL with fsync on; eight threads start, the bus has eight pushers."""
    with wired(place), _Dbos(place) as dbos:
        sagas = _Sagas(place)
        ours, theirs, idle = interleave(sagas.round, dbos.working, dbos.idle)
        checks = sagas.checks
        checks.missed += dbos.missing
    return [
        Figure(
            "saga of three steps, each in another service and database, one row per step",
            f"dbos, three local steps, one row per step, {_THREADS} threads",
            "sagas/s",
            ours,
            theirs,
            Target("ratio", "at least", 1.0),
            checks,
            [
                "Ours cross two service boundaries and back: four messages through outbox, bus,"
                " HTTP push and inbox. Theirs stay in one process.",
            ],
        ),
        Figure(
            "the same",
            f"dbos, three local steps that do nothing at all, {_THREADS} threads",
            "sagas/s",
            ours,
            idle,
            None,
            checks,
        ),
    ]


class _Sagas:
    def __init__(self, place: Place) -> None:
        self.dbs = {name: place.admin(f"{name}_db") for name in SYNTHETIC}
        self.checks = Checks()

    def round(self, _number: int) -> float:
        """Start all from eight threads, and wait for the last to end."""
        db = database("alpha")

        def start(_n: int) -> None:
            thing = uuid7()

            def work(tx: Tx) -> None:
                opening.start(tx, data={"thing": thing}, subject=thing, saga_id=thing)

            db.transaction(work)

        began = time.perf_counter()
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(start, range(_SAGAS)))
        self._wait()
        seconds = time.perf_counter() - began
        self._check()
        return _SAGAS / seconds

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            # The partial index on sagas that are still to be woken keeps this cheap.
            if not self.dbs["alpha"].all("select 1 from sagas where wake_at is not null limit 1"):
                return
            time.sleep(0.01)

    def _check(self) -> None:
        row = self.dbs["alpha"].one("select count(*) as n from sagas where status = 'COMPLETED'")
        self.checks.operations += _SAGAS
        self.checks.missed += _SAGAS - (int(row["n"]) if row else 0)
        for name, db in self.dbs.items():
            rows = db.all("select thing, what from effects")
            once = {(row["thing"], row["what"]) for row in rows}
            self.checks.missed += _SAGAS - sum(what == _STEPS[name] for _, what in once)
            self.checks.duplicated += len(rows) - len(once)
            db.all("truncate effects, sagas cascade")


class _Dbos(Rival):
    """The other side, in a process of its own (infra/bench/dbos_side.py)."""

    def __init__(self, place: Place) -> None:
        made = create_service_database(
            place.cluster, "dbos_db", "dbos", password="dbos", owner_password="dbos"
        )  # nosec B106
        db: Database = place.admin("dbos_db")
        db.all("create table effects (thing text not null, what text not null)")
        db.all("grant all on effects to dbos_owner")
        self.db = db
        super().__init__("infra.bench.dbos_side", made.owner_url, str(_THREADS))
        self.missing = 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self.db.close()

    def working(self, _number: int) -> float:
        """Steps that insert a row each, in a transaction of their own."""
        seconds = self._run("working")
        rows = self.db.all("select distinct thing, what from effects")
        self.missing += 3 * _SAGAS - len(rows)
        self.db.all("truncate effects")
        return _SAGAS / seconds

    def idle(self, _number: int) -> float:
        """Steps whose outcome is recorded, and nothing else."""
        return _SAGAS / self._run("idle")

    def _run(self, what: str) -> float:
        return float(self.say(what, _SAGAS))
