"""Exports as archives: asked for, made by a job, fetched by a link, deleted after some days.

No process waits for anything: whoever runs the job takes the next export under a lease that it
renews as it goes. One that dies is followed by another, which begins anew under another name.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from functions.auth import domain
from functions.auth.service import exports
from functions.auth.service.archive import Altered, Source, write_archive
from functions.auth.store import exports as store
from shared import audit, log
from shared.blobs import objects
from shared.clocks import clock
from shared.db import Row, Tx
from shared.downloads import download
from shared.errors import Conflict, NotFound, Problem
from shared.identity import EVERYWHERE, Caller
from shared.privacy import ExportFile, alive
from shared.runtime import database
from shared.telemetry import counted

__all__ = ["make_next", "request", "show", "sweep"]

_TELL_EVERY_S = 5.0
_FRESH_S = 30.0


class _LeaseLost(Conflict):
    """Somebody else makes this archive by now, or the person was erased."""


def request(person: UUID, by: Caller) -> UUID:
    """Ask for an archive: its id, the same one until it is made. Raises NotFound, PersonErased."""

    def work(tx: Tx) -> UUID:
        alive(tx, person)
        if not store.has_account(tx, person):
            raise NotFound("There is no such person.")
        mine = uuid4()
        store.insert(tx, mine, person, by.id, clock().now())
        audit.record(tx, person, "export", "archive")
        return store.open_for(tx, person) or mine

    return database("auth").transaction(work, isolation="READ COMMITTED")


def show(export_id: UUID, caller: Caller) -> dict[str, Any]:
    """How far it is, and a link for some minutes once it is READY. Raises NotFound, also for
    whoever may not know of it."""

    def work(tx: Tx) -> tuple[Row, str | None]:
        row = store.get(tx, export_id)
        if row is None or not _may_see(caller, row["person_id"]):
            raise NotFound("There is no such export.")
        if row["state"] != "READY" or row["expires_at"] <= clock().now():
            return row, None
        audit.record(tx, row["person_id"], "export", "archive link")
        return row, _link(row)

    row, link = database("auth").transaction(work)
    return {**row, "export_id": row["id"], "patient_id": row["person_id"], "url": link}


def make_next() -> int:
    """Make the export whose turn it is; how many that were."""
    db, now = database("auth"), clock().now()
    row = db.transaction(lambda tx: store.claim(tx, now), isolation="READ COMMITTED")
    if row is None:
        return 0
    asker = Caller("service", service="auth")
    with audit.acting(asker, on_behalf_of=row["requested_by"]):
        try:
            size = _Making(row).make()
        except _LeaseLost:
            log.warning("export_lease_lost", export_id=row["id"])
            return 0
        except Exception as error:  # noqa: BLE001 -- it is told, and tried again
            _failed(row, error)
            return 0
    return int(_ready(row, size))


def sweep() -> int:
    """Delete archives that were kept for long enough, and what nobody knows of: what a maker left
    that died between its last byte and saying so. How many objects."""
    db, now = database("auth"), clock().now()

    def work(tx: Tx) -> list[str]:
        store.drop_old(tx, now - domain.EXPORT_REMEMBERED)
        return store.expire(tx, now)

    db.transaction(work, isolation="READ COMMITTED")
    # Listed before it is asked which are known: one that is made meanwhile is not among them.
    found = list(objects().list(store.FOLDER))
    known = store.paths(db)
    return sum(objects().delete(path) for path in found if path not in known)


class _Making:
    """One try at one archive."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._files = self._bytes = self._all_files = self._all_bytes = 0
        self._told = 0.0
        self._listed: dict[str, tuple[float, dict[str, ExportFile]]] = {}

    def make(self) -> int:
        """The archive's size. Raises Altered, Unavailable, _LeaseLost."""
        person, by = self._row["person_id"], self._row["requested_by"]
        sources = [
            Source(service, file, partial(self._fetch, service, file))
            for service in exports.services()
            for file in self._listing(service).values()
        ]
        self._all_files = len(sources)
        self._all_bytes = sum(source.file.size for source in sources)
        self._tell()
        parts = {part.service: part.tables for part in exports.gather(person, by)}
        self._tell()
        with objects().write(self._row["path"], content_type="application/zip") as sink:
            return write_archive(sink, person, clock().now(), parts, sources, moved=self._moved)

    def _listing(self, service: str) -> dict[str, ExportFile]:
        """Name -> the service's file, with a URL that is not over yet: the files before it may
        have taken long."""
        at, found = self._listed.get(service, (0.0, {}))
        if not found or time.monotonic() - at >= _FRESH_S:
            files = exports.files(service, self._row["person_id"], self._row["requested_by"])
            found = {file.name: file for file in files}
            if len(found) != len(files):
                raise Altered(f"{service}: two files have one name")
            self._listed[service] = time.monotonic(), found
        return found

    def _fetch(self, service: str, file: ExportFile) -> Iterator[bytes]:
        fresh = self._listing(service).get(file.name)
        if fresh is None or (fresh.sha256, fresh.size) != (file.sha256, file.size):
            raise Altered(f"{service}: {file.name} was replaced meanwhile")
        return download(fresh.url)

    def _moved(self, files: int, size: int) -> None:
        self._files += files
        self._bytes += size
        if files or time.monotonic() - self._told >= _TELL_EVERY_S:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        done, of = (self._files, self._bytes), (self._all_files, self._all_bytes)
        kept = database("auth").transaction(
            lambda tx: store.progress(tx, self._row, clock().now(), done, of),
            isolation="READ COMMITTED",
        )
        if not kept:
            raise _LeaseLost


def _ready(row: Row, size: int) -> bool:
    now = clock().now()
    kept_until = now + domain.EXPORT_KEPT
    ready = database("auth").transaction(
        lambda tx: store.mark_ready(tx, row, size, now, kept_until), isolation="READ COMMITTED"
    )
    if not ready:
        objects().delete(row["path"])
    counted("dentalhelp.exports", outcome="ready" if ready else "lost")
    return ready


def _failed(row: Row, error: Exception) -> None:
    """What is not what it should be does not get better by waiting; everything else may."""
    now = clock().now()
    final = isinstance(error, Altered) or row["tries"] >= domain.EXPORT_TRIES
    again = None if final else now + domain.continue_after(row["tries"])
    told = str(error) if isinstance(error, Altered) else type(error).__name__
    if isinstance(error, Problem) and error.detail:
        told = error.detail
    log.error("export_failed", exc=error, export_id=row["id"], tries=row["tries"], final=final)
    counted("dentalhelp.exports", outcome="failed" if final else "repeated")
    database("auth").transaction(
        lambda tx: store.give_back(tx, row, now, again, told), isolation="READ COMMITTED"
    )


def _may_see(caller: Caller, person: UUID) -> bool:
    return caller.is_owner(person) or "ADMIN" in caller.clinics.get(EVERYWHERE, ())


def _link(row: Row) -> str:
    return objects().presign_get(
        row["path"],
        expires=domain.EXPORT_LINK,
        filename=f"dentalhelp-{row['id']}.zip",
        content_type="application/zip",
    )
