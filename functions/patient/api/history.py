"""What a record said, and when: for its person, and an ADMIN of the group."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, RootModel

from functions.patient.api.allergies import Allergies
from functions.patient.api.base import OVERSIGHT, api
from functions.patient.api.records import Anamnesis, Patient
from functions.patient.domain import Record
from functions.patient.service import history
from functions.patient.store.history import Past
from shared.errors import NotFound
from shared.eventstore import Recorded
from shared.identity import Caller
from shared.pages import Moment, Page, PageQuery

What = Literal["registered", "begun", "profile", "email", "anamnesis", "allergies"]

_WHAT: dict[str, What] = {
    "PROFILE_REGISTERED": "registered",
    "HISTORY_BEGUN": "begun",
    "PROFILE_CHANGED": "profile",
    "EMAIL_FOLLOWED": "email",
    "ANAMNESIS_CHANGED": "anamnesis",
    "ALLERGIES_CHANGED": "allergies",
}
_WHOLE = ("first_name", "last_name", "national_id", "phone", "birth_date", "language")


class HistoryQuery(PageQuery):
    """``as_of``: the record as it was then, instead of its changes. ``known_at``: by what had been
    recorded by then, without what we learned later."""

    as_of: Moment | None = None
    known_at: Moment | None = None


class Change(BaseModel):
    """One change of a record."""

    version: int
    """The first is 1."""
    at: datetime
    """From when on it is so."""
    recorded_at: datetime
    """When it became known here."""
    what: What
    changes: dict[str, str | None]
    """The fields that changed and their new values; of the medical history none."""
    anamnesis: Anamnesis | None
    """The medical history as it was told then, for the person alone."""
    allergies: Allergies | None
    """The list of allergies as it was written then, for the person alone."""
    by: UUID | None
    """The person who did it; null: a service, for one after a registration."""

    @classmethod
    def of(cls, event: Recorded, *, told: bool) -> Self:
        """``event`` for its person (``told``) or somebody else."""
        fact = event.fact
        anamnesis = getattr(fact, "anamnesis", None) if told else None
        allergies = getattr(fact, "allergies", None) if told else None
        return cls(
            version=event.version,
            at=event.effective_at,
            recorded_at=event.recorded_at,
            what=_WHAT[event.type],
            changes=_changes(fact),
            anamnesis=anamnesis and Anamnesis.model_validate(anamnesis),
            allergies=allergies and Allergies.model_validate(allergies),
            by=event.actor,
        )


class Then(BaseModel):
    """A record as it was."""

    as_of: datetime
    version: int
    """Of the last change by then."""
    profile: Patient
    """With the medical history for the person alone."""
    allergies: Allergies | None
    """As the list was then, for the person alone; null where nobody had asked."""


class History(RootModel[Page[Change] | Then]):
    """The changes in the order in which they were recorded, or the record as it was."""


@api.get(
    "/{patient_id}/history",
    access=OVERSIGHT,
    returns=History,
    problems=[NotFound],
)
def show_history(patient_id: UUID, query: HistoryQuery, caller: Caller) -> History:
    """How a record changed, or what it said at some time; gone with an erasure."""
    told = caller.is_owner(patient_id)
    if query.as_of is not None:
        past, version = history.as_of(patient_id, query.as_of, query.known_at)
        profile = _patient(patient_id, past, version, told=told)
        known = past.allergies if told else None
        allergies = known and Allergies.model_validate(known)
        return History(
            Then(as_of=query.as_of, version=version, profile=profile, allergies=allergies)
        )
    page = history.changes(patient_id, query, query.known_at)
    return History(page.map(lambda event: Change.of(event, told=told)))


def _patient(patient_id: UUID, past: Past, version: int, *, told: bool) -> Patient:
    if past.profile is None:
        raise AssertionError("only a patient has a history")
    anamnesis = past.anamnesis if told else None
    return Patient.of(Record(patient_id, version, past.email, past.profile, anamnesis))


def _changes(fact: Any) -> dict[str, str | None]:
    profile = getattr(fact, "profile", None)
    names = getattr(fact, "fields", _WHOLE) if profile is not None else ()
    found = {name: getattr(profile, name) for name in names}
    if hasattr(fact, "email"):
        found["email"] = fact.email
    return {name: None if value is None else str(value) for name, value in found.items()}
