"""Torture of the event store: appenders that dawdle, roll back and are killed; readers that follow.

``python -m infra.chaos.torture`` appends EVENTS events (default 1,000,000) to a PostgreSQL of its
own and says what its readers have seen. Each must see every event once, each stream in its order,
and all of them the same; a reader that goes by the last position must miss some, or the torture
was none. What was acknowledged to an appender is there, what was rolled back is not.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from uuid import uuid4

from shared.db import Database

__all__ = ["Plan", "Report", "Seen", "run"]

# Whoever was killed may have left a COMMIT behind that the server has not read yet.
_QUIET = "select pg_snapshot_xmin(s) = pg_snapshot_xmax(s) as quiet from pg_current_snapshot() s"
_TRUTH = "select id::text as id, count(*) as n, max(version) as last from events group by id"
_NUMBERS = "select coalesce(string_agg(data ->> 'number', ' '), '') as numbers from events"


@dataclass(frozen=True)
class Plan:
    """How hard it is to be."""

    events: int
    appenders: int = 8
    """Processes, each with ``threads`` that append."""
    threads: int = 1
    readers: int = 4
    streams: int = 1_000
    kill_every: int = 20_000
    """Events from one kill -9 of an appender to the next."""
    patience: float = 3_600.0
    """Seconds until it must be over."""
    seed: int = 1


@dataclass(frozen=True)
class Seen:
    """What one reader has seen of what there is."""

    missed: int
    doubled: int
    streams_out_of_order: int
    digest: str
    """Of all that it has seen, in its order."""

    @property
    def clean(self) -> bool:
        """Everything, once, each stream in its order."""
        return not (self.missed or self.doubled or self.streams_out_of_order)


@dataclass
class Report:
    """What has become of it all."""

    events: int = 0
    seconds: float = 0.0
    kills: int = 0
    rolled_back: int = 0
    """Transactions whose appender was told so, or wanted it so."""
    unknown: int = 0
    """Transactions whose appender was killed before it was told."""
    lost: int = 0
    """Facts that were acknowledged and are not there."""
    ghosts: int = 0
    """Facts that were rolled back and are there."""
    gaps: int = 0
    """Streams whose versions are not 1, 2, 3 and so on."""
    readers: list[Seen] = field(default_factory=list)
    naive: Seen = Seen(0, 0, 0, "")

    @property
    def faults(self) -> list[str]:
        """What must not be; empty when all is well."""
        found = [f"reader {at}: {seen}" for at, seen in enumerate(self.readers) if not seen.clean]
        if len({seen.digest for seen in self.readers}) != 1:
            found.append("the readers have seen different orders")
        if not self.naive.missed:
            found.append("the naive reader missed nothing: this was no torture")
        for what in ("lost", "ghosts", "gaps"):
            if count := getattr(self, what):
                found.append(f"{what}: {count}")
        return found

    def __str__(self) -> str:
        read = ", ".join(
            f"{seen.missed} missed / {seen.doubled} doubled / {seen.streams_out_of_order} streams"
            " out of order"
            for seen in self.readers
        )
        return (
            f"{self.events:,} events in {self.seconds:.0f} s; {self.kills} kills,"
            f" {self.rolled_back:,} transactions rolled back, {self.unknown} unknown;"
            f" lost {self.lost}, ghosts {self.ghosts}, gaps {self.gaps}; readers: {read};"
            f" naive: {self.naive.missed:,} missed"
        )


def run(url: str, directory: Path, plan: Plan) -> Report:
    """Torture the empty store of the database behind ``url``; ``directory`` is for its files.

    Raises TimeoutError, and RuntimeError when a process ends by itself.
    """
    torture = _Torture(url, directory, plan)
    try:
        return torture.run()
    finally:
        torture.close()


class _Torture:
    def __init__(self, url: str, directory: Path, plan: Plan) -> None:
        self.plan, self.directory, self.report = plan, directory, Report()
        self.db = Database(url)
        names = directory / "streams"
        names.write_text("\n".join(str(uuid4()) for _ in range(plan.streams)), "ascii")
        self.environment = {
            **os.environ,
            "TORTURE_DATABASE_URL": url,
            "TORTURE_STREAMS": str(names),
        }
        self.books = [directory / f"reader-{at}" for at in range(plan.readers)]
        self.readers: list[subprocess.Popen[str]] = []
        self.appenders: list[subprocess.Popen[str]] = []
        self.seeds = iter(range(plan.seed * 1_000, plan.seed * 1_000 + 1_000_000))
        self.seen = 0

    def run(self) -> Report:
        began = time.monotonic()
        for at, book in enumerate(self.books):
            self._read("read", book, at)
        self._read("naive", self.directory / "naive", 0)
        self.appenders = [self._append() for _ in range(self.plan.appenders)]
        self._torture(began + self.plan.patience)
        for appender in self.appenders:
            appender.kill()
            appender.wait()
        while not (self.db.one(_QUIET) or {})["quiet"]:
            time.sleep(0.01)
        self.report.seconds = time.monotonic() - began
        for reader in self.readers:
            if reader.stdin is not None:
                reader.stdin.close()
        for reader in self.readers:
            reader.wait(self.plan.patience)
        self._judge()
        return self.report

    def close(self) -> None:
        """Leave no process behind."""
        for process in (*self.appenders, *self.readers):
            process.kill()
            process.wait()
        self.db.close()

    def _torture(self, until: float) -> None:
        """Kill one appender after the other until there are enough events."""
        dice = random.Random(self.plan.seed)  # nosec B311
        next_kill = self.plan.kill_every
        while self.seen < self.plan.events:
            time.sleep(0.02)
            if time.monotonic() > until:
                raise TimeoutError(f"only {self.seen:,} of {self.plan.events:,} events were seen")
            for process in (*self.appenders, *self.readers):
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args!r} has ended: {process.returncode}")
            if self.seen >= next_kill:
                at = dice.randrange(len(self.appenders))
                self.appenders[at].kill()
                self.appenders[at].wait()
                self.appenders[at] = self._append()
                self.report.kills += 1
                next_kill = self.seen + self.plan.kill_every

    def _append(self) -> subprocess.Popen[str]:
        seed = next(self.seeds)
        journal = self.directory / f"journal-{seed}"
        return self._start("append", str(journal), str(seed), str(self.plan.threads))

    def _read(self, how: str, book: Path, seed: int) -> None:
        process = self._start(how, str(book), str(seed))
        self.readers.append(process)
        threading.Thread(target=self._watch, args=(process.stdout,), daemon=True).start()

    def _watch(self, lines: IO[str]) -> None:
        for line in lines:
            self.seen = max(self.seen, int(line))

    def _start(self, *what: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "infra.chaos.torture_side", str(os.getpid()), *what]
        return subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if what[0] != "append" else None,
            text=True,
        )

    def _judge(self) -> None:
        report = self.report
        rows = self.db.all(_TRUTH)
        truth = {row["id"]: row["last"] for row in rows}
        report.events = sum(row["n"] for row in rows)
        report.gaps = sum(row["n"] != row["last"] for row in rows)
        report.readers = [_seen(book, truth) for book in self.books]
        report.naive = _seen(self.directory / "naive", None)
        there = set(map(int, (self.db.one(_NUMBERS) or {})["numbers"].split()))
        for journal in self.directory.glob("journal-*"):
            self._compare(_outcomes(journal), there)

    def _compare(self, outcomes: Mapping[str, str], there: set[int]) -> None:
        for numbers, outcome in outcomes.items():
            found = sum(int(number) in there for number in numbers.split())
            if outcome == "+":
                self.report.lost += len(numbers.split()) - found
            elif outcome == "-":
                self.report.rolled_back += 1
                self.report.ghosts += found
            else:
                self.report.unknown += 1


def _outcomes(journal: Path) -> dict[str, str]:
    """Each transaction's numbers, and the last that its appender could say of it."""
    lines = journal.read_text("ascii").splitlines()
    return {line[2:]: line[0] for line in lines}


def _pairs(book: Path) -> Iterator[tuple[str, str]]:
    with book.open(encoding="ascii") as lines:
        for line in lines:
            name, _, value = line.rstrip().partition(" ")
            yield name, value


def _seen(book: Path, truth: Mapping[str, int] | None) -> Seen:
    """Compare a reader's book with the last version of each stream; without ``truth``, with the
    last that it has seen of each: what it has passed over."""
    found, digest = defaultdict[str, list[int]](list), ""
    for name, value in _pairs(book):
        if name == "sha256":
            digest = value
        else:
            found[name].append(int(value))
    once = {name: set(versions) for name, versions in found.items()}
    if truth is None:
        truth = {name: max(versions) for name, versions in found.items()}
    return Seen(
        missed=sum(last - len(once.get(name, ())) for name, last in truth.items()),
        doubled=sum(len(versions) - len(once[name]) for name, versions in found.items()),
        streams_out_of_order=sum(versions != sorted(versions) for versions in found.values()),
        digest=digest,
    )


def _main() -> int:
    from infra.bench.place import Place

    plan = Plan(events=int(os.environ.get("EVENTS") or 1_000_000))
    with Place() as place:
        report = run(place.database_url("alpha"), place.directory, plan)
    print(report, *report.faults, sep="\n")
    return int(bool(report.faults))


if __name__ == "__main__":
    sys.exit(_main())
