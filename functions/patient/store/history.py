"""A patient's history: a fact for each change of the record, in the transaction that makes it.

What a fact says of the person is sealed with the person's key: deleting that erases the history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from functions.patient.domain import AllergyList, Anamnesis, Profile
from shared.crypto import Subject
from shared.db import Tx
from shared.eventstore import EventStore, Fact, Recorded, Stream
from shared.messages import personal
from shared.runtime import vault

__all__ = [
    "STORE",
    "AllergiesChanged",
    "AnamnesisChanged",
    "EmailFollowed",
    "HistoryBegun",
    "Past",
    "ProfileChanged",
    "ProfileRegistered",
    "note",
    "stream",
    "then",
]


class ProfileRegistered(Fact):
    """Somebody became a patient."""

    profile: Profile = personal()
    anamnesis: Anamnesis = personal()
    email: str | None = personal()
    email_version: int
    """The version of auth's account that the address is from."""


class HistoryBegun(ProfileRegistered):
    """How a record was that had been made before there were histories."""


class ProfileChanged(Fact):
    """Fields of the profile changed."""

    fields: list[str]
    """Their names; the others are as they were."""
    profile: Profile = personal()


class EmailFollowed(Fact):
    """The person has another address in auth, effective since it was changed there."""

    email: str = personal()
    email_version: int


class AnamnesisChanged(Fact):
    """The medical history was told anew."""

    anamnesis: Anamnesis = personal()


class AllergiesChanged(Fact):
    """The list of allergies was written anew."""

    allergies: AllergyList = personal()


STORE = EventStore(
    lambda: vault("patient"),
    (
        ProfileRegistered,
        HistoryBegun,
        ProfileChanged,
        EmailFollowed,
        AnamnesisChanged,
        AllergiesChanged,
    ),
)


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a patient at some moment; no ``profile``: not a patient yet."""

    profile: Profile | None = None
    anamnesis: Anamnesis | None = None
    email: str | None = None
    email_version: int = 0
    allergies: AllergyList | None = None


def stream(patient_id: UUID) -> Stream:
    """The patient's history."""
    return Stream("patient", patient_id, patient_id)


def note(
    tx: Tx,
    key: Subject,
    patient_id: UUID,
    fact: Fact,
    *,
    facts: int,
    since: datetime | None = None,
) -> None:
    """Write down the change that made ``tx``'s row the one that has ``facts`` facts."""
    tx.keys[patient_id] = key
    STORE.append(tx, stream(patient_id), [fact], expected=facts - 1, effective_at=since)


def then(past: Past, event: Recorded) -> Past:
    """``past`` after one fact more. An address never goes back, whatever order facts come in:
    that of auth's change may be earlier than that of the profile."""
    apply = _CHANGES.get(type(event.fact))
    return past if apply is None else apply(past, event.fact)


def _registered(past: Past, fact: ProfileRegistered) -> Past:
    made = replace(past, profile=fact.profile, anamnesis=fact.anamnesis)
    return _addressed(made, fact)


def _addressed(past: Past, fact: ProfileRegistered | EmailFollowed) -> Past:
    if fact.email_version <= past.email_version:
        return past
    return replace(past, email=fact.email, email_version=fact.email_version)


_CHANGES: dict[type, Callable[..., Past]] = {
    ProfileRegistered: _registered,
    HistoryBegun: _registered,
    ProfileChanged: lambda past, fact: replace(past, profile=fact.profile),
    EmailFollowed: _addressed,
    AnamnesisChanged: lambda past, fact: replace(past, anamnesis=fact.anamnesis),
    AllergiesChanged: lambda past, fact: replace(past, allergies=fact.allergies),
}
