"""Somebody's year at the clinic: visits, and what reception was asked for. Follows from the number
of the person and the day that ends the year."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Literal

from functions.appointment.domain.hours import Span
from functions.appointment.domain.states import CancelledBy, Status
from functions.appointment.service.requests import RequestStatus
from infra.people import patient
from infra.seed.calendar import Seat, many, past, seat
from infra.seed.desk import asks, comes
from infra.seed.words import CANCELLED, DECLINED, KINDS, NOTES, REQUEST_NOTES

__all__ = ["Asked", "Visit", "Year", "year"]


@dataclass(frozen=True, slots=True)
class Visit:
    """An appointment of the past; ``kind`` is a place in KINDS."""

    turn: int
    kind: int
    starts_at: datetime
    booked_at: datetime
    status: Status
    by_patient: bool
    """It was booked by the patient."""
    note: str | None = None
    reason: str | None = None
    cancelled_by: CancelledBy | None = None
    cancelled_at: datetime | None = None
    acknowledged: bool = False

    @property
    def ends_at(self) -> datetime:
        """Just after it."""
        return self.starts_at + timedelta(minutes=KINDS[self.kind].minutes)

    @property
    def changes(self) -> int:
        """How often it was changed after it was booked."""
        steps = {"COMPLETED": 2, "CANCELLED": 1, "MISSED": 1}
        return steps[self.status] + self.acknowledged


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the past; what was accepted became the visit at that place."""

    turn: int
    kind: int
    made_at: datetime
    decided_at: datetime
    status: RequestStatus
    windows: tuple[Span, ...]
    note: str | None
    reason: str | None
    visit: int | None


@dataclass(frozen=True, slots=True)
class Year:
    """Of one person."""

    number: int
    seat: Seat
    language: Literal["ro", "id"]
    visits: tuple[Visit, ...]
    """In order of time."""
    asked: tuple[Asked, ...]
    walked_in: datetime

    @property
    def days(self) -> list[datetime]:
        """When they were seen; who has no visit that was completed came without one."""
        seen = [visit.starts_at for visit in self.visits if visit.status == "COMPLETED"]
        return seen or [self.walked_in]


def year(number: int, day: date) -> Year:
    """What happened before ``day``."""
    of, chance = seat(number), Random(f"visits {number}")  # nosec B311
    language: Literal["ro", "id"] = patient(number)["language"]
    turns = many("appointments", number) - comes(number)
    times = sorted(past(day, of, turn) for turn in range(turns))
    visits = tuple(_visit(turn, at, language, chance) for turn, at in enumerate(times))
    requests = many("requests", number) - asks(number)
    asked = []
    for turn in range(requests):
        # The first ones became the visits, in their order; others came to nothing.
        visit = visits[turn] if turn < len(visits) and chance.random() < 0.8 else None
        wished = past(day, of, turn) if visit is None else visit.starts_at
        asked.append(_asked(turn, wished, visit, language, chance))
    # Beyond the places that appointments take: whoever walks in is seen between two of them.
    walked_in = past(day, of, 0) + timedelta(minutes=45 - 10)
    return Year(number, of, language, visits, tuple(asked), walked_in)


def _visit(turn: int, at: datetime, language: str, chance: Random) -> Visit:
    kind = chance.choices(range(len(KINDS)), [kind.often for kind in KINDS])[0]
    booked = at - timedelta(days=chance.randint(2, 40), minutes=chance.randint(0, 400))
    by_patient = chance.random() < 0.35
    note = chance.choice(NOTES[language]) if chance.random() < 0.2 else None
    acknowledged = chance.random() < 0.6
    fate = chance.random()
    if fate < 0.83:
        status: Status = "COMPLETED"
        return Visit(turn, kind, at, booked, status, by_patient, note, acknowledged=acknowledged)
    if fate < 0.89:
        return Visit(turn, kind, at, booked, "MISSED", by_patient, note)
    whose: CancelledBy = "PATIENT" if fate < 0.97 else "CLINIC"
    reason = CANCELLED[language] if whose == "PATIENT" else None
    gone = booked + (at - booked) * chance.uniform(0.2, 0.9)
    return Visit(
        turn,
        kind,
        at,
        booked,
        "CANCELLED",
        by_patient,
        note,
        reason=reason,
        cancelled_by=whose,
        cancelled_at=gone,
    )


def _asked(
    turn: int, wished: datetime, visit: Visit | None, language: str, chance: Random
) -> Asked:
    note = chance.choice(REQUEST_NOTES[language]) if chance.random() < 0.5 else None
    starts = [wished + timedelta(days=7 * week) for week in range(chance.randint(1, 3))]
    windows = tuple(Span(at - timedelta(hours=1), at + timedelta(hours=2)) for at in starts)
    waited = timedelta(minutes=chance.randint(5, 2_000))
    if visit is not None:
        made, decided = visit.booked_at - waited, visit.booked_at
        return Asked(turn, visit.kind, made, decided, "ACCEPTED", windows, note, None, visit.turn)
    made = wished - timedelta(days=chance.randint(3, 30))
    declined = chance.random() < 0.7
    status: RequestStatus = "DECLINED" if declined else "WITHDRAWN"
    reason = DECLINED[language] if declined else None
    kind = chance.randrange(len(KINDS))
    return Asked(turn, kind, made, made + waited, status, windows, note, reason, None)
