"""The erasure of a person (GDPR, article 17): asked for, followed, repeated after a restore."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from functions.auth.api.base import GROUP_ADMINS, Body, api
from functions.auth.domain import ErasureStatus, PartState
from functions.auth.service import erasures
from shared.access import owner, public
from shared.contracts.gdpr import ErasureReason, Held
from shared.errors import Conflict, NotFound, Unavailable
from shared.http import Reply
from shared.identity import Caller


class Erase(Body):
    """Who is to be erased: a patient or somebody of the staff."""

    patient_id: UUID
    reason: ErasureReason = "USER_REQUEST_ARTICLE_17"


class Accepted(BaseModel):
    """What follows the erasure; whoever has it may."""

    erasure_id: UUID


class Part(BaseModel):
    """What one service has done: rows per table, and what the law forbids to erase yet."""

    state: PartState
    erased: dict[str, int]
    held: list[Held]
    at: datetime | None


class Erasure(BaseModel):
    """How far an erasure is; ``receipt`` is a compact JWS, signed when all have answered. Where it
    names something that is held, ``final_receipt`` is signed when that was erased, too."""

    status: ErasureStatus
    services: dict[str, Part]
    receipt: str | None
    final_receipt: str | None = None


class Replay(Body):
    """The moment that a backup is from, or one before."""

    since: Annotated[
        AwareDatetime,
        # Earlier or later than any backup, but still a year of four digits in every time zone.
        Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC)),
    ]


class Replayed(BaseModel):
    """How many erasures were applied again, and which entries of the ledger cannot be read."""

    replayed: int
    unreadable: list[str]


@api.post(
    "/erasures",
    access=owner("patient_id") | GROUP_ADMINS,
    returns=Accepted,
    status=202,
    problems=[NotFound, Conflict],
)
def erase(body: Erase, caller: Caller) -> Reply[Accepted]:
    """Have a person erased everywhere; asked for again, it is the same erasure."""
    erasure_id = erasures.request(body.patient_id, body.reason, caller)
    return Reply(Accepted(erasure_id=erasure_id), location=f"{api.prefix}/erasures/{erasure_id}")


@api.get("/erasures/{erasure_id}", access=public(), returns=Erasure, problems=[NotFound])
def follow_erasure(erasure_id: UUID) -> Erasure:
    """How far an erasure is, without a name; only who asked for it knows its id."""
    return Erasure.model_validate(erasures.show(erasure_id))


@api.post("/-/erasures/replay", access=GROUP_ADMINS, returns=Replayed, problems=[Unavailable])
def replay_erasures(body: Replay) -> Replayed:
    """After a restore: apply every erasure since then again."""
    replayed, unreadable = erasures.replay(body.since)
    return Replayed(replayed=replayed, unreadable=unreadable)
