"""A patient's history: every change of the record, and the record as it was at any moment."""

from __future__ import annotations

import time
from datetime import datetime
from uuid import UUID

from functions.patient.store import records
from functions.patient.store.history import STORE, Past, stream, then
from shared import audit
from shared.db import Tx
from shared.errors import NotFound
from shared.eventstore import Recorded
from shared.pages import Page, PageQuery
from shared.runtime import database

__all__ = ["as_of", "begin", "changes"]

_BATCH = 100
_BUDGET_S = 20.0


def changes(patient_id: UUID, query: PageQuery, known_at: datetime | None) -> Page[Recorded]:
    """A page of the changes, in the order in which they were recorded, by ``known_at`` if that is
    given. Raises NotFound, BadRequest."""
    (after,) = query.after(tuple[int]) or (0,)

    def work(tx: Tx) -> list[Recorded]:
        _look(tx, patient_id)
        # One more than is shown: is there another page?
        until = after + query.limit + 1
        return STORE.history(
            tx,
            stream(patient_id),
            after_version=after,
            until_version=until,
            known_at=known_at,
        )

    found = database("patient").transaction(work)
    return Page.of(found, query.limit, lambda event: (event.version,), lambda event: event)


def as_of(patient_id: UUID, moment: datetime, known_at: datetime | None) -> tuple[Past, int]:
    """The record as it was at ``moment``, as far as it was known at ``known_at`` (None: now), and
    its last change. Raises NotFound, also for the time before there was one."""

    def work(tx: Tx) -> tuple[Past, int]:
        _look(tx, patient_id)
        return STORE.load(tx, stream(patient_id), Past(), then, as_of=moment, known_at=known_at)

    past, version = database("patient").transaction(work)
    if past.profile is None:
        raise NotFound("Nothing is known of that time.")
    return past, version


def begin() -> int:
    """Begin the histories of records that were made before there were any; how many, in one go."""
    db, until, begun, last = database("patient"), time.monotonic() + _BUDGET_S, 0, UUID(int=0)
    while time.monotonic() < until:
        people = records.without_history(db, last, _BATCH)
        if not people:
            break
        last = people[-1]
        for patient_id in people:

            def work(tx: Tx, patient_id: UUID = patient_id) -> bool:
                return records.adopt(tx, patient_id)

            begun += db.transaction(work)
    return begun


def _look(tx: Tx, patient_id: UUID) -> None:
    facts = records.facts(tx, patient_id)
    if facts is None:
        # Never a patient, or erased: what stays of the history says nothing.
        raise NotFound("There is no such patient.")
    if facts == 0:
        records.adopt(tx, patient_id)
    audit.record(tx, patient_id, "read", "history")
