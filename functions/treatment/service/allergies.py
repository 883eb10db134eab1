"""What is known of a patient's allergies: followed by events, asked for where these do not do."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from functions.treatment.domain.allergies import Allergy, Listed, Status
from functions.treatment.store import replicas
from functions.treatment.store.replicas import Told
from shared import log
from shared.client import client
from shared.clocks import clock, moment
from shared.contracts.patient import AllergiesUpdated
from shared.db import Tx
from shared.errors import NotFound, Unavailable
from shared.messages import Metadata
from shared.runtime import database, vault

__all__ = ["ask_if_needed", "follow", "hear"]


class _Answer(BaseModel):
    """What patient answers; what it says besides is not our concern."""

    model_config = ConfigDict(extra="ignore")

    version: int
    status: Status
    allergies: list[Allergy]


def follow(event: AllergiesUpdated, tx: Tx, meta: Metadata) -> None:
    """Patient has a new list."""
    told = Told(
        event.patient_id,
        meta.version("a patient's record"),
        Listed(event.status, tuple(Allergy(**one.model_dump()) for one in event.allergies)),
        min(moment(meta.hlc), clock().now()),
    )
    replicas.keep(tx, vault("treatment").new_subject(tx, event.patient_id), told)


def hear(patient_id: UUID, tx: Tx, meta: Metadata) -> None:
    """Patient's record has a new version, with the same list."""
    version = meta.version("a patient's record")
    replicas.hear(tx, patient_id, version, min(moment(meta.hlc), clock().now()))


def ask_if_needed(patient_id: UUID, by: UUID) -> Told | None:
    """What patient says now, where the replica is missing or cannot be trusted; else None.

    Not in a transaction: it may ask over the network, on behalf of ``by``. Raises NotFound, and
    Unavailable where patient does not answer: nobody guesses what somebody is allergic to.
    """
    now = clock().now()
    if replicas.trusted(replicas.look(database("treatment"), patient_id), now):
        return None
    path = f"/-/allergies/{patient_id}"
    try:
        found = client("treatment").get("patient", path, on_behalf_of=by)
        answer = _Answer.model_validate(found)
    except NotFound:
        raise NotFound("There is no such patient.") from None
    except ValidationError:
        log.error("allergies_misunderstood")
        raise Unavailable("The patient's allergies cannot be read now.") from None
    # From before the question: what was changed since may not be in the answer.
    return Told(patient_id, answer.version, Listed(answer.status, tuple(answer.allergies)), now)
