"""What people were told of their year, in the app; no mail is sent about the past."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple
from uuid import UUID

from functions.notification.domain.notices import BY_KIND
from functions.notification.service import facts
from functions.notification.store import live
from infra.seed.appointments import appointment_id, request_id
from infra.seed.bulk import Batch, Patient
from infra.seed.calendar import many
from infra.seed.plans import prescription_id, treatment_id
from infra.seed.visits import Visit

__all__ = ["collect", "notification_id", "told"]

_INBOX = """
insert into inboxes (person_id, language, version, sent)
select person_id, language, many, many
  from unnest(:people::uuid[], :languages::text[], :many::bigint[]) as n (person_id, language, many)
on conflict (person_id) do update
   set version = inboxes.version + excluded.version, sent = inboxes.sent + excluded.sent
"""


class Told(NamedTuple):
    """One notification."""

    turn: int
    kind: str
    at: datetime
    about: UUID | None
    facts: Mapping[str, str]


def collect(batch: Batch, people: Sequence[Patient]) -> None:
    """What is missing of what these people were told."""
    everything = {notification_id(who, each): (who, each) for who in people for each in told(who)}
    languages: dict[UUID, str] = {}
    count: dict[UUID, int] = {}
    for who, each in batch.missing("notifications", "id", everything):
        _notification(batch, who, each)
        languages[who.patient_id] = who.year.language
        count[who.patient_id] = count.get(who.patient_id, 0) + 1
    if count:
        batch.tx.run(
            _INBOX,
            people=list(count),
            languages=list(languages.values()),
            many=list(count.values()),
        )
    for person in count:
        batch.tx.after(_view(person))


def notification_id(who: Patient, each: Told) -> UUID:
    """Of what somebody was told."""
    return who.id("notification", each.turn, each.at)


def told(who: Patient) -> list[Told]:
    """The newest of what there was to tell. Who has nothing else was told of new passwords."""
    found = [*_of_visits(who), *_of_requests(who), *_of_treatment(who)]
    found.sort(key=lambda one: one[1])
    count = many("notifications", who.year.number)
    first = who.year.walked_in
    spare: list[_One] = [
        ("PASSWORD_CHANGED", first - timedelta(days=n), None, {}) for n in range(count)
    ]
    chosen = [*spare[len(found) :], *found][-count:] if count else []
    return [Told(turn, *each) for turn, each in enumerate(sorted(chosen, key=lambda one: one[1]))]


_One = tuple[str, datetime, UUID | None, dict[str, str]]


def _of_visits(who: Patient) -> list[_One]:
    found: list[_One] = []
    for visit in who.year.visits:
        about, known = appointment_id(who, visit), _of_visit(who, visit)
        found.append(("APPOINTMENT_CONFIRMED", visit.booked_at, about, known))
        if visit.cancelled_at is not None:
            whose = {**known, "cancelled_by": str(visit.cancelled_by)}
            found.append(("APPOINTMENT_CANCELLED", visit.cancelled_at, about, whose))
            continue
        for hours in (48, 2):
            at = visit.starts_at - timedelta(hours=hours)
            if at > visit.booked_at:
                found.append(("APPOINTMENT_REMINDER", at, about, known))
    return found


def _of_requests(who: Patient) -> list[_One]:
    return [
        (
            "APPOINTMENT_REQUEST_DECLINED",
            each.decided_at,
            request_id(who, each),
            {**_clinic(who), "reason": each.reason},
        )
        for each in who.year.asked
        if each.reason is not None
    ]


def _of_treatment(who: Patient) -> list[_One]:
    planned: list[_One] = [
        ("TREATMENT_PLANNED", plan.at, treatment_id(who, plan), _clinic(who))
        for plan in who.mouth.plans
    ]
    issued: list[_One] = [
        ("PRESCRIPTION_ISSUED", each.at, prescription_id(who, each), _clinic(who))
        for each in who.mouth.prescribed
    ]
    return planned + issued


def _clinic(who: Patient) -> dict[str, str]:
    clinic = who.desk.clinic
    return {"clinic_id": str(clinic.clinic_id), "clinic": clinic.name}


def _of_visit(who: Patient, visit: Visit) -> dict[str, str]:
    starts_at = visit.starts_at.astimezone(UTC).isoformat()
    return {"starts_at": starts_at, "time_zone": who.desk.clinic.zone, **_clinic(who)}


def _notification(batch: Batch, who: Patient, each: Told) -> None:
    """Most were read within a day."""
    chance = Random(f"read {who.year.number} {each.turn}")  # nosec B311
    read = each.at + timedelta(minutes=chance.randint(1, 1_400)) if chance.random() < 0.9 else None
    batch.add(
        "notifications",
        id=notification_id(who, each),
        person_id=who.patient_id,
        event_id=who.id("event", each.turn, each.at),
        kind=BY_KIND[each.kind].kind,
        about=each.about,
        facts=facts.seal(batch.key(who), each.facts),
        created_at=each.at,
        read_at=read,
    )


def _view(person: UUID) -> Callable[[], None]:
    return lambda: live.refresh(person)
