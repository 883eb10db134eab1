"""``make audit-verify``: is the audit log as it was sealed? If not, a line for each fault, exit 1.

Without arguments it checks every service of the platform in DATA (``.local``), running or not.
``--service NAME`` checks one by the environment it runs with, in the cloud.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from infra import manifest
from shared.audit_seal import START, Position, Seal, beginning, folder, path
from shared.audit_seals import Place, digest
from shared.blobs import Blobs, blobs
from shared.config import MissingSettings, config
from shared.crypto import Vault
from shared.db import Database
from shared.errors import Unavailable
from shared.kms import kms

__all__ = ["Finding", "Report", "main", "verify"]

What = Literal["changed", "removed", "inserted", "truncated", "forged"]
_SEALS = """
select number, after_epoch, after_tx::text as after_tx, after_id, upto_epoch,
       upto_tx::text as upto_tx, upto_id, entries, root, previous, mac, sealed_at
  from audit_seals where number >= :start and number < :stop
"""
_NEWEST = "select coalesce(max(number), 0) as number from audit_seals"
_WAITING = """
select count(*) as n from audit_log
 where (epoch, tx, id) > (:epoch::integer, :tx::xid8, :id::bigint)
"""
_EARLIER = """
select count(*) as n from audit_log
 where (epoch, tx, id) <= (:epoch::integer, :tx::xid8, :id::bigint)
"""
_WINDOW = 1000
_SHOWN = 50


@dataclass(frozen=True)
class Finding:
    """What is wrong with the rows of one seal, or with the seal."""

    number: int
    what: What
    detail: str


@dataclass
class Report:
    """What a check of one service found."""

    seals: int = 0
    entries: int = 0
    waiting: int = 0
    """Rows that no seal covers yet."""
    findings: list[Finding] = field(default_factory=list)


def verify(place: Place) -> Report:
    """Recompute every seal and compare it with its anchor. Raises Unavailable."""
    check = _Check(place)
    check.run()
    return check.report


class _Check:
    """One pass over the seals of a service, in their order."""

    def __init__(self, place: Place) -> None:
        self.report = Report()
        self._place = place
        self._newest: int = place.db.all(_NEWEST)[0]["number"]
        # What the seal at hand must follow; not known behind one that is gone altogether.
        self._root: bytes | None = beginning(place.service)
        self._after: Position | None = START

    def run(self) -> None:
        self.report.seals = last = _last_anchor(self._place, self._newest)
        if earlier := self._count(_EARLIER, START):
            self._add(1, "inserted", f"{earlier} rows before the first that can be")
        for start in range(1, last + 1, _WINDOW):
            numbers = range(start, min(start + _WINDOW, last + 1))
            kept, anchors = _kept(self._place, numbers), _anchors(self._place, numbers)
            for number in numbers:
                self._seal(number, kept.get(number), anchors.get(number))
        if self._after is not None:
            self.report.waiting = self._count(_WAITING, self._after)

    def _count(self, sql: str, place: Position) -> int:
        rows = self._place.db.all(sql, epoch=place.epoch, tx=str(place.tx), id=place.id)
        counted: int = rows[0]["n"]
        return counted

    def _seal(self, number: int, row: Seal | None, anchor: Seal | None) -> None:
        """Both forms of a seal with each other, then the rows with the one that is genuine."""
        if row is None and anchor is None:
            self._add(number, "removed", "the seal and its anchor are gone")
        elif row is None:
            self._add(number, self._gone(number), "the seal is gone, its anchor is there")
        elif anchor is None:
            self._add(number, "forged", "it has no anchor that can be read")
        elif row.anchor() != anchor.anchor():
            self._add(number, "forged", "it is not what was anchored")
        found = [seal for seal in (anchor, row) if seal is not None]
        genuine = [seal for seal in found if seal.genuine(self._place.vault)]
        if genuine:
            self._rows(genuine[0])
        elif found:
            self._add(number, "forged", "the service did not make it")
        known = (*genuine, *found)
        self._root, self._after = (known[0].root, known[0].upto) if known else (None, None)

    def _rows(self, seal: Seal) -> None:
        number = seal.number
        if self._root is not None and seal.previous != self._root:
            self._add(number, "forged", "it does not follow the seal before")
        if self._after is not None and seal.after > self._after:
            self._add(number, "forged", "it leaves rows out")
        root, entries, _ = digest(self._place.db, seal.previous, seal.after, seal.upto)
        self.report.entries += entries
        if entries < seal.entries:
            self._add(number, self._gone(number), f"{entries} of {seal.entries} rows are left")
        elif entries > seal.entries:
            self._add(number, "inserted", f"{entries} rows, {seal.entries} were sealed")
        elif root != seal.root:
            self._add(number, "changed", f"one or more of its {entries} rows")

    def _gone(self, number: int) -> What:
        """Behind the newest seal's row the end of the log was cut off."""
        return "truncated" if number > self._newest else "removed"

    def _add(self, number: int, what: What, detail: str) -> None:
        self.report.findings.append(Finding(number, what, detail))


def _last_anchor(place: Place, newest: int) -> int:
    """The number of the last seal, whether its row is there or its anchor."""
    for found in place.store.list(folder(place.service), after=path(place.service, newest)):
        name = found.rpartition("/")[2].removesuffix(".json")
        if name.isdecimal():
            newest = max(newest, int(name))
    return newest


def _kept(place: Place, numbers: range) -> dict[int, Seal]:
    rows = place.db.all(_SEALS, start=numbers.start, stop=numbers.stop)
    return {row["number"]: Seal.of(place.service, row) for row in rows}


def _anchors(place: Place, numbers: range) -> dict[int, Seal]:
    paths = [path(place.service, number) for number in numbers]
    # One request each: a bucket answers many at once.
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(place.store.get, paths))
    seals: dict[int, Seal] = {}
    for number, data in zip(numbers, found, strict=True):
        try:
            seal = Seal.parse(data or b"")
        except ValueError:
            continue
        if (seal.service, seal.number) == (place.service, number):
            seals[number] = seal
    return seals


@contextmanager
def _embedded(directory: Path) -> Iterator[list[Place]]:
    """Every service of the platform in ``directory``; starts its PostgreSQL if need be."""
    from infra.local.visit import visiting

    store = Blobs((directory / "blobs").absolute().as_uri())
    with visiting(directory, "audit_verify") as (keys, urls):
        places = []
        for name in manifest.service_names():
            db = Database(urls[name])
            places.append(Place(name, db, Vault(db, kms(f"local:{keys.kms_key}")), store))
        yield places


@contextmanager
def _configured(service: str) -> Iterator[list[Place]]:
    """The service as the environment describes it."""
    db = Database(config().database_url(service))
    yield [Place(service, db, Vault(db), blobs())]


def main(arguments: Sequence[str]) -> int:
    """0 when everything is as it was sealed, 1 when not, 2 when it cannot be told."""
    parser = argparse.ArgumentParser(description="Check the audit logs against their seals.")
    parser.add_argument("--service", help="one service, by this environment")
    service = parser.parse_args(arguments).service
    directory = manifest.ROOT / (os.environ.get("DATA") or ".local")
    sound = True
    try:
        with _configured(service) if service else _embedded(directory) as places:
            for place in places:
                report = verify(place)
                _tell(place.service, report)
                sound = sound and not report.findings
    except (OSError, ValueError, MissingSettings, Unavailable) as fault:
        print(f"The audit log cannot be checked: {fault}", file=sys.stderr)
        return 2
    return 0 if sound else 1


def _tell(service: str, report: Report) -> None:
    print(
        f"{service}: {report.seals} seals over {report.entries} rows,"
        f" {report.waiting} rows wait for the next one"
    )
    for finding in report.findings[:_SHOWN]:
        print(f"{service}: seal {finding.number}: {finding.what}: {finding.detail}")
    if len(report.findings) > _SHOWN:
        print(f"{service}: and {len(report.findings) - _SHOWN} more")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
