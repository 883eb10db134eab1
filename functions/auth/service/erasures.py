"""The erasure of a person: requested, written into the ledger, destroyed here, asked of everybody.

That order is what survives a crash at any point and a restore of any backup; see
docs/decisions/0011-erasure.md. Each step may be repeated, by anybody, at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from functions.auth import domain
from functions.auth.privacy import privacy
from functions.auth.service import ledger, receipts
from functions.auth.service.ledger import Entry
from functions.auth.service.sessions import forget_attempts
from functions.auth.service.staff import LastAdmin, close_account
from functions.auth.store import erasures as store
from functions.auth.store import users
from shared import audit, faults, log
from shared.clocks import clock
from shared.config import config
from shared.contracts.gdpr import ERASER, ErasureReason, GdprDataDeletion, GdprDataErased
from shared.db import Row, Tx
from shared.errors import NotFound, Reject, Unavailable
from shared.identity import Caller
from shared.messages import Metadata
from shared.privacy import Erased
from shared.runtime import database
from shared.telemetry import counted, timed

__all__ = ["answered", "carry_out", "replay", "request", "show", "tend"]

_BATCH = 50


def request(person_id: UUID, reason: ErasureReason, by: Caller) -> UUID:
    """Accept that a person is to be erased: the erasure's id, the same one each time.

    The account is closed with the request; the rest follows at once, or soon by ``tend``. One
    that failed is asked for anew. Raises NotFound, LastAdmin.
    """

    def work(tx: Tx) -> UUID:
        row = store.by_person(tx, person_id) or _accept(tx, person_id, reason, by)
        audit.record(tx, person_id, "erase", "account")
        if row["status"] == "FAILED":
            _insist(tx, row["id"])
        if row["status"] == "REQUESTED":
            # The ledger must not know a request that is rolled back.
            tx.after(partial(carry_out, row["id"]))
        found: UUID = row["id"]
        return found

    return database("auth").transaction(work, isolation="READ COMMITTED")


def carry_out(erasure_id: UUID) -> bool:
    """Take a requested erasure into the ledger, then destroy; False if that is not its turn."""
    db = database("auth")
    row = store.get(db, erasure_id)
    if row is None or row["status"] != "REQUESTED":
        return False
    faults.point("erasure.requested")
    try:
        ledger.record(Entry.of(row))
    except Unavailable:
        log.error("erasure_ledger_away", erasure_id=erasure_id)
        return False
    faults.point("erasure.recorded")

    def work(tx: Tx) -> bool:
        current = store.lock(tx, erasure_id)
        if current is None or current["status"] != "REQUESTED":
            return False
        _destroy(tx, current)
        return True

    return db.transaction(work, isolation="READ COMMITTED")


def answered(event: GdprDataErased, tx: Tx, meta: Metadata) -> None:
    """A service has erased. What it said before stays, unless it had not answered or has looked
    again since then at what it held."""
    if meta.source_service != event.service:
        raise Reject("an answer in another service's name")
    row, parts = store.lock_whole(tx, event.erasure_id)
    part = next((part for part in parts if part["service"] == event.service), None)
    if row is None or part is None:
        # A backup without the erasure was restored: the replay will ask again.
        log.warning("erasure_unknown", erasure_id=event.erasure_id, service=event.service)
        return
    if part["state"] in ("PENDING", "FAILED") or event.run > part["run"]:
        done = Erased(event.erased, event.held, event.run)
        part["state"] = _note(tx, event.erasure_id, event.service, done)
        _settle(tx, row, parts)


def show(erasure_id: UUID) -> dict[str, Any]:
    """status, services, receipt, final_receipt. Raises NotFound."""

    def load(tx: Tx) -> tuple[Row | None, list[Row]]:
        return store.get(tx, erasure_id), store.parts(tx, erasure_id)

    row, parts = database("auth").transaction(load)
    if row is None:
        raise NotFound("There is no such erasure.")
    receipt, final = row["receipt"], row["final_receipt"]
    due = receipt is None or (final is None and row["released_at"] is not None)
    # Not while it runs: what is told must not be older than the receipt beside it.
    if due and row["status"] in ("COMPLETED", "HELD"):
        try:
            receipt, final = receipts.issue(erasure_id)
        except Unavailable:
            log.warning("erasure_receipts_wait", missing=1)
    return {
        "status": "RUNNING" if row["status"] == "REQUESTED" else row["status"],
        "services": {part["service"]: {**part, "at": part["answered_at"]} for part in parts},
        "receipt": receipt,
        "final_receipt": final,
    }


def tend() -> int:
    """Go on with what somebody left behind: requests, late answers, receipts; how many."""
    return _continue() + _ask_again() + receipts.issue_all()


def replay(since: datetime) -> tuple[int, list[str]]:
    """After a restore: erase everybody again who was erased since then; how many, and the paths
    of entries that cannot be read. Raises Unavailable."""
    db = database("auth")
    found, unreadable = ledger.entries(since)
    # Whose answer is younger than the backup of who answered may be older in the ledger.
    found += [Entry.of(row) for row in store.since(db, since)]
    people = {entry.person_id: entry for entry in reversed(found)}
    for entry in people.values():

        def work(tx: Tx, entry: Entry = entry) -> None:
            store.insert(tx, entry.model_dump(), try_at=clock().now())
            row = store.by_person(tx, entry.person_id)
            if row is not None and store.lock(tx, row["id"]):
                audit.record(tx, entry.person_id, "erase", "account")
                _destroy(tx, row)

        db.transaction(work, isolation="READ COMMITTED")
    return len(people), unreadable


def _accept(tx: Tx, person_id: UUID, reason: ErasureReason, by: Caller) -> Row:
    admins = users.active_admins(tx)
    user = users.lock(tx, person_id)
    if user is not None:
        if admins == [person_id]:
            raise LastAdmin("Make another ADMIN of the group first.")
        now = clock().now()
        entry = Entry(
            erasure_id=uuid4(),
            person_id=person_id,
            reason=reason,
            requested_by=by.id,
            requested_at=now,
        )
        store.insert(tx, entry.model_dump(), try_at=now + domain.CONTINUE_AFTER)
        _close(tx, user)
    # Somebody else may have asked while we waited for the row.
    row = store.by_person(tx, person_id)
    if row is None:
        raise NotFound("There is no such person.")
    return row


def _close(tx: Tx, user: Row) -> None:
    if user["status"] != "DEACTIVATED":
        close_account(tx, user)


def _destroy(tx: Tx, row: Row) -> None:
    """Erase the person here and ask everybody else; ``row`` is locked."""
    person = row["person_id"]
    privacy.lock(tx, person)
    user = users.lock(tx, person)
    if user is not None:
        _close(tx, user)
        forget_attempts(tx, person, user["email"])
    done = privacy.erase(tx, person, row["id"])
    ask_at = clock().now() + domain.ask_again_after(1)
    store.ask(tx, row["id"], {*config().services, ERASER}, ask_at)
    _note(tx, row["id"], ERASER, done)
    _settle(tx, row, store.parts(tx, row["id"]))
    _ask(tx, row)


def _ask(tx: Tx, row: Row) -> None:
    """Everybody hears it; who has erased already answers the same again."""
    tx.emit(
        GdprDataDeletion(
            erasure_id=row["id"],
            patient_id=row["person_id"],
            reason=row["reason"],
            requested_by=row["requested_by"],
            requested_at=row["requested_at"],
        )
    )


def _insist(tx: Tx, erasure_id: UUID) -> None:
    row, parts = store.lock_whole(tx, erasure_id)
    failed = [part["service"] for part in parts if part["state"] == "FAILED"]
    if row is not None and failed:
        store.ask(tx, erasure_id, failed, clock().now() + domain.ask_again_after(1))
        _settle(tx, row, store.parts(tx, erasure_id))
        _ask(tx, row)


def _note(tx: Tx, erasure_id: UUID, service: str, done: Erased) -> domain.PartState:
    state: domain.PartState = "HELD" if done.held else "ERASED"
    store.answer(
        tx,
        erasure_id,
        service,
        state,
        erased=done.erased,
        held=[item.model_dump(mode="json") for item in done.held],
        run=done.run,
        at=clock().now(),
    )
    return state


def _settle(tx: Tx, row: Row, parts: Iterable[Row]) -> None:
    """What ``parts`` come to; ``row`` is locked, so nobody else changes them."""
    now = clock().now()
    status = domain.erasure_status(part["state"] for part in parts)
    store.tell(tx, row["id"], status, now)
    if status in ("COMPLETED", "HELD"):
        tx.after(partial(_completed, row, now))


def _completed(row: Row, now: datetime) -> None:
    if row["completed_at"] is None:
        timed("dentalhelp.erasure.duration", (now - row["requested_at"]).total_seconds())
    receipts.issue(row["id"])


def _continue() -> int:
    db, now = database("auth"), clock().now()
    pauses = [domain.continue_after(tries) for tries in range(1, 10)]
    rows = db.transaction(
        lambda tx: store.claim_requested(tx, now, pauses, _BATCH), isolation="READ COMMITTED"
    )
    done = 0
    for row in rows:
        try:
            done += carry_out(row["id"])
        except Exception as error:  # noqa: BLE001 -- one broken erasure must not stop the others
            log.error("erasure_failed", exc=error, erasure_id=row["id"])
    return done


def _ask_again() -> int:
    db, now = database("auth"), clock().now()
    late = store.due(db, now, _BATCH)
    for erasure_id in late:

        def work(tx: Tx, erasure_id: UUID = erasure_id) -> list[str]:
            row, parts = store.lock_whole(tx, erasure_id)
            due = [p for p in parts if p["state"] == "PENDING" and p["ask_at"] <= now]
            if row is None or not due:
                return []
            for part in due:
                if part["askings"] >= domain.ASKINGS:
                    store.give_up(tx, erasure_id, part["service"])
                else:
                    again = now + domain.ask_again_after(part["askings"] + 1)
                    store.asked_again(tx, erasure_id, part["service"], again)
            _settle(tx, row, store.parts(tx, erasure_id))
            if any(part["askings"] < domain.ASKINGS for part in due):
                _ask(tx, row)
            return [part["service"] for part in due]

        for service in db.transaction(work, isolation="READ COMMITTED"):
            log.error("erasure_overdue", erasure_id=erasure_id, service=service)
            counted("dentalhelp.erasure.overdue", service=service)
    return len(late)
