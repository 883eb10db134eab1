"""What a patient says to an offer; by the API or by the link in the message."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from functions.appointment.domain.states import Status
from functions.appointment.domain.visits import Visit
from functions.appointment.domain.waitlist import AlreadyBooked, OfferOver, OfferStatus
from functions.appointment.service.offers import ask_again, hand_on
from functions.appointment.service.scope import NOBODY_BOUND, Scope
from functions.appointment.service.visits import tell
from functions.appointment.store import appointments, holds, offers, slots, wishes
from shared import audit
from shared.clocks import clock
from shared.contracts.appointment import AppointmentBooked, AppointmentConfirmed
from shared.db import Database, Row, Tx
from shared.errors import NotFound
from shared.privacy import alive
from shared.runtime import database
from shared.types import uuid7

__all__ = ["Offer", "accept", "decline", "drop", "lock", "show"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A slot that is held for a patient until ``expires_at``, while it is OPEN; and once it is
    ACCEPTED, the appointment that came of it, as it is now."""

    offer_id: UUID
    version: int
    wish_id: UUID
    patient_id: UUID
    clinic_id: UUID
    practitioner_id: UUID
    type_id: UUID
    starts_at: datetime
    ends_at: datetime
    status: OfferStatus
    expires_at: datetime
    appointment_id: UUID | None
    appointment_status: Status | None
    appointment_at: datetime | None
    clinic_name: str
    time_zone: str

    @classmethod
    def of(cls, row: Row) -> Self:
        """As it is now: an offer is over when its time is, whenever the schedule notices."""
        shown: dict[str, Any] = {field.name: row[field.name] for field in fields(cls)}
        if row["status"] == "OPEN" and clock().now() >= row["expires_at"]:
            shown["status"] = "EXPIRED"
        return cls(**shown)


def show(offer_id: UUID, scope: Scope) -> Offer:
    """The offer. Raises NotFound."""
    return _find(database("appointment"), offer_id, scope)


def accept(offer_id: UUID, scope: Scope) -> Visit:
    """The appointment that the patient has now; again, the same. Whoever accepts has the slot:
    it was held. Raises NotFound, OfferOver, PersonErased."""

    def work(tx: Tx) -> Visit:
        offer = lock(tx, offer_id, scope)
        appointment_id = offer.appointment_id
        if offer.status != "ACCEPTED" or appointment_id is None:
            if offer.status != "OPEN":
                raise OfferOver
            appointment_id = _book(tx, offer, scope)
            visit = _visit(tx, appointment_id)
            tell(tx, visit, AppointmentBooked, status="CONFIRMED")
            tell(tx, visit, AppointmentConfirmed)
        return _visit(tx, appointment_id)

    return database("appointment").transaction(work, isolation="READ COMMITTED")


def decline(offer_id: UUID, scope: Scope) -> None:
    """The slot goes to the next; the wish waits for another. Again, nothing changes.

    Raises NotFound, AlreadyBooked, OfferOver.
    """

    def work(tx: Tx) -> None:
        offer = lock(tx, offer_id, scope)
        if offer.status == "ACCEPTED":
            raise AlreadyBooked
        if offer.status in ("EXPIRED", "WITHDRAWN"):
            raise OfferOver
        if offer.status == "OPEN":
            drop(tx, offer.offer_id, "DECLINED")

    database("appointment").transaction(work, isolation="READ COMMITTED")


def drop(tx: Tx, offer_id: UUID, status: OfferStatus) -> None:
    """Free what an open offer holds, for the next; ``lock`` came before."""
    about = offers.whose(tx, offer_id)
    if about is None:
        raise _unknown()
    offers.end(tx, offer_id, status, clock().now())
    slots.release(tx, offer_id)
    audit.record(tx, about["patient_id"], "write", "waitlist offer")
    hand_on(tx, about["freed_id"])
    ask_again(tx, about["patient_id"])


def _book(tx: Tx, offer: Offer, scope: Scope) -> UUID:
    now, appointment_id = clock().now(), uuid7()
    columns = {"type_id": offer.type_id, "booked_by": scope.person, "now": now}
    if (
        offers.end(tx, offer.offer_id, "ACCEPTED", now) is None
        or not holds.turn_into_appointment(tx, offer.offer_id, appointment_id, **columns)
        or wishes.end(tx, offer.wish_id, "BOOKED", at=now, appointment_id=appointment_id) is None
    ):
        raise OfferOver
    audit.record(tx, offer.patient_id, "create", "appointment")
    return appointment_id


def _visit(tx: Tx, appointment_id: UUID) -> Visit:
    row = appointments.find(tx, appointment_id, NOBODY_BOUND.params)
    if row is None:
        raise NotFound("There is no such appointment any more.")
    return Visit.of(row)


def lock(tx: Tx, offer_id: UUID, scope: Scope) -> Offer:
    """The offer, which nobody else changes before this transaction ends. Raises NotFound,
    PersonErased."""
    about = offers.whose(tx, offer_id)
    if about is None:
        raise _unknown()
    alive(tx, about["patient_id"])
    offers.lock_freed(tx, about["freed_id"])
    return _find(tx, offer_id, scope)


def _find(source: Database | Tx, offer_id: UUID, scope: Scope) -> Offer:
    row = offers.show(source, offer_id, scope.params)
    if row is None:
        raise _unknown()
    return Offer.of(row)


def _unknown() -> NotFound:
    return NotFound("There is no such offer.")
