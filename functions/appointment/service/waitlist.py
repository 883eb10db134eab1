"""Waiting for a slot: wishes of patients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from functions.appointment.domain.hours import Span
from functions.appointment.domain.waitlist import WishOver, WishStatus
from functions.appointment.service import answers
from functions.appointment.service.offers import offer_due
from functions.appointment.service.scope import NOBODY_BOUND, Scope
from functions.appointment.service.wanted import Wanted, check
from functions.appointment.store import offers, wishes
from functions.appointment.store.asked import Filter
from functions.appointment.store.windows import spans
from shared import audit
from shared.clocks import clock
from shared.db import Row, Tx
from shared.errors import NotFound, StaleVersion
from shared.pages import Page, PageQuery
from shared.privacy import alive
from shared.runtime import database
from shared.types import uuid7

__all__ = ["Held", "Wish", "listing", "make", "show", "withdraw"]


@dataclass(frozen=True, slots=True)
class Held:
    """The slot that is offered now."""

    offer_id: UUID
    practitioner_id: UUID
    starts_at: datetime
    ends_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, shown: dict[str, str]) -> Self:
        """From the row of the wish."""
        return cls(
            offer_id=UUID(shown["offer_id"]),
            practitioner_id=UUID(shown["practitioner_id"]),
            starts_at=datetime.fromisoformat(shown["starts_at"]),
            ends_at=datetime.fromisoformat(shown["ends_at"]),
            expires_at=datetime.fromisoformat(shown["expires_at"]),
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """What a patient waits for; ``offer`` while a slot is held for it."""

    wish_id: UUID
    version: int
    patient_id: UUID
    clinic_id: UUID
    type_id: UUID
    practitioner_id: UUID | None
    windows: list[Span]
    status: WishStatus
    appointment_id: UUID | None
    made_at: datetime
    offer: Held | None

    @classmethod
    def of(cls, row: Row) -> Self:
        """The wish in a row."""
        plain: dict[str, Any] = {
            name: row[name] for name in cls.__slots__ if name not in ("windows", "offer")
        }
        offer = Held.of(row["offer"]) if row["offer"] else None
        return cls(**plain, windows=spans(row["windows"]), offer=offer)


def make(wanted: Wanted) -> Wish:
    """A patient waits from now on. Raises NotFound, NotBookable, Invalid, PersonErased."""
    wanted.check_before()
    wish_id = uuid7()

    def work(tx: Tx) -> None:
        now = clock().now()
        alive(tx, wanted.patient_id)
        check(tx, wanted)
        wishes.insert(tx, {"wish_id": wish_id, "made_at": now, **wanted.columns}, wanted.windows)
        audit.record(tx, wanted.patient_id, "create", "waitlist wish")
        windows = list(wanted.windows)
        if offers.look_for(tx, wanted.clinic_id, wanted.practitioner_id, windows, now):
            tx.after(offer_due)

    database("appointment").transaction(work, isolation="READ COMMITTED")
    return show(wish_id, NOBODY_BOUND)


def show(wish_id: UUID, scope: Scope) -> Wish:
    """Raises NotFound."""
    row = wishes.show(database("appointment"), wish_id, scope.params, clock().now())
    if row is None:
        raise _unknown()
    return Wish.of(row)


def listing(query: PageQuery, wanted: Filter) -> Page[Wish]:
    """Wishes of a clinic or of a patient, in the order in which they were made. Raises
    BadRequest."""
    after = query.after(tuple[datetime, UUID])
    rows = wishes.listing(database("appointment"), wanted, after, query.limit + 1, clock().now())
    return Page.of(rows, query.limit, lambda row: (row["made_at"], row["wish_id"]), item=Wish.of)


def withdraw(wish_id: UUID, version: int, scope: Scope) -> Wish:
    """The patient waits no more; what was held goes to the next. Raises NotFound, WishOver,
    StaleVersion, PersonErased."""

    def work(tx: Tx) -> None:
        about = wishes.whose(tx, wish_id)
        if about is None or not scope.reaches(about["patient_id"], about["clinic_id"]):
            raise _unknown()
        alive(tx, about["patient_id"])
        held = offers.open_of(tx, wish_id)
        if held is not None:
            answers.lock(tx, held["offer_id"], scope)
        locked = wishes.lock(tx, wish_id)
        if locked is None:
            raise _unknown()
        if locked["version"] != version:
            raise StaleVersion
        if locked["status"] != "WAITING":
            raise WishOver
        wishes.end(tx, wish_id, "WITHDRAWN", at=clock().now())
        audit.record(tx, locked["patient_id"], "write", "waitlist wish")
        # One that was made since needed the lock of the wish: there is none but this.
        held = offers.open_of(tx, wish_id)
        if held is not None:
            answers.drop(tx, held["offer_id"], "WITHDRAWN")

    database("appointment").transaction(work, isolation="READ COMMITTED")
    return show(wish_id, NOBODY_BOUND)


def _unknown() -> NotFound:
    return NotFound("There is no such wish.")
