"""Waiting for a slot, and answering when one is offered."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from functions.appointment.api.base import (
    CLINIC_DESK,
    CLINIC_STAFF,
    DESK,
    Appointment,
    Period,
    answer,
    api,
    periods,
)
from functions.appointment.api.wanted import Asked, AskedQuery
from functions.appointment.domain.refusals import NotBookable
from functions.appointment.domain.waitlist import (
    AlreadyBooked,
    OfferOver,
    OfferStatus,
    WishOver,
    WishStatus,
)
from functions.appointment.service import answers, waitlist
from functions.appointment.service.scope import Scope
from functions.appointment.store.asked import Filter
from shared.access import anyone, owner
from shared.errors import BadRequest, NotFound, StaleVersion
from shared.http import IfMatch, Reply
from shared.identity import Caller
from shared.pages import Page
from shared.privacy import PersonErased

__all__ = ["Offer", "Wish"]


class Held(BaseModel):
    """A slot that is held for a wish until ``expires_at``."""

    model_config = ConfigDict(from_attributes=True)

    offer_id: UUID
    practitioner_id: UUID
    starts_at: datetime
    ends_at: datetime
    expires_at: datetime


class Wish(BaseModel):
    """What a patient waits for, and what is offered now."""

    wish_id: UUID
    version: int
    patient_id: UUID
    clinic_id: UUID
    type_id: UUID
    practitioner_id: UUID | None
    windows: list[Period]
    status: WishStatus
    appointment_id: UUID | None
    made_at: datetime
    offer: Held | None

    @classmethod
    def of(cls, wish: waitlist.Wish) -> Self:
        """The representation of ``wish``."""
        plain = {
            name: getattr(wish, name) for name in wish.__slots__ if name not in ("windows", "offer")
        }
        offer = None if wish.offer is None else Held.model_validate(wish.offer)
        return cls(**plain, windows=periods(wish.windows), offer=offer)


class WishQuery(AskedQuery):
    """Which wishes: staff name their clinic, patients themselves."""

    status: WishStatus | None = None


class Offer(BaseModel):
    """A slot that was offered; while it is OPEN it is held until ``expires_at``."""

    model_config = ConfigDict(from_attributes=True)

    offer_id: UUID
    wish_id: UUID
    patient_id: UUID
    clinic_id: UUID
    practitioner_id: UUID
    type_id: UUID
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    status: OfferStatus
    expires_at: datetime
    appointment_id: UUID | None


@api.post(
    "/waitlist",
    access=CLINIC_DESK | owner("patient_id"),
    returns=Wish,
    status=201,
    problems=[NotFound, NotBookable, PersonErased],
)
def make(body: Asked) -> Reply[Wish]:
    """Wait for a slot of a type in one of several windows, with a certain practitioner or any.

    What is freed is offered to who waits for the longest (in days of the clinic; within one, to
    who has the fewest windows left), one after the other, each for as long as the clinic allows.
    Nobody is offered the same slot twice.
    """
    return _answer(waitlist.make(body.wanted()), new=True)


@api.get(
    "/waitlist",
    access=CLINIC_STAFF | owner("patient_id"),
    returns=Page[Wish],
    problems=[BadRequest],
)
def listing(query: WishQuery) -> Page[Wish]:
    """Wishes in the order in which they were made."""
    wanted = Filter(query.clinic_id, query.patient_id, query.status)
    return waitlist.listing(query, wanted).map(Wish.of)


@api.get("/waitlist/{wish_id}", access=anyone(), returns=Wish, problems=[NotFound])
def show(wish_id: UUID, caller: Caller) -> Reply[Wish]:
    """One wish, for its patient and the staff of its clinic; to others there is none."""
    return _answer(waitlist.show(wish_id, Scope.of(caller)))


@api.post(
    "/waitlist/{wish_id}/withdraw",
    access=anyone(),
    returns=Wish,
    problems=[NotFound, StaleVersion, WishOver, PersonErased],
)
def withdraw(wish_id: UUID, if_match: IfMatch, caller: Caller) -> Reply[Wish]:
    """Wait no more; a slot that is held for the wish goes to the next."""
    return _answer(waitlist.withdraw(wish_id, if_match, Scope.of(caller, *DESK)))


@api.get("/offers/{offer_id}", access=anyone(), returns=Offer, problems=[NotFound])
def show_offer(offer_id: UUID, caller: Caller) -> Offer:
    """One offer, for its patient and the staff of its clinic; to others there is none."""
    return Offer.model_validate(answers.show(offer_id, Scope.of(caller)))


@api.post(
    "/offers/{offer_id}/accept",
    access=anyone(),
    returns=Appointment,
    problems=[NotFound, OfferOver, PersonErased],
)
def accept(offer_id: UUID, caller: Caller) -> Reply[Appointment]:
    """Take the slot that is held; again, it is the same appointment. 410 once the offer is over."""
    return answer(answers.accept(offer_id, Scope.of(caller, *DESK)), new=True)


@api.post(
    "/offers/{offer_id}/decline",
    access=anyone(),
    problems=[NotFound, AlreadyBooked, OfferOver, PersonErased],
)
def decline(offer_id: UUID, caller: Caller) -> None:
    """Leave the slot to the next and go on waiting; again, nothing changes."""
    answers.decline(offer_id, Scope.of(caller, *DESK))


def _answer(wish: waitlist.Wish, *, new: bool = False) -> Reply[Wish]:
    location = f"{api.prefix}/waitlist/{wish.wish_id}" if new else None
    return Reply(Wish.of(wish), etag=wish.version, location=location)
