"""What the clinics offer, and what is still to come: made through the public API, as a reception
does it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import quote
from uuid import UUID

from infra.client import Answer, why
from infra.people import patient
from infra.seed.calendar import BREAK, END, START, began, many, seat, to_come
from infra.seed.group import Clinic, Group, Unfilled
from infra.seed.words import KINDS, REQUEST_NOTES

__all__ = ["Coming", "Desk", "asks", "comes"]

_API = "/api/appointments"
_WEEK = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY")
_TRIES = 20


def comes(number: int) -> bool:
    """Whether somebody's last appointment is still to come."""
    return number % 16 == 5 and many("appointments", number) > 0


def asks(number: int) -> bool:
    """Whether somebody's last request is not decided yet."""
    return number % 25 == 7 and many("requests", number) > 0


@dataclass
class Desk:
    """What can be booked at one clinic."""

    clinic: Clinic
    types: list[UUID] = field(default_factory=list)
    """In the order of KINDS."""
    chairs: list[UUID] = field(default_factory=list)
    """One for each dentist."""

    def equip(self, group: Group) -> None:
        """Add chairs, types of appointments and dentists' hours, as far as there are none."""
        here = f"{_API}/clinics/{self.clinic.clinic_id}"
        romanian = self.clinic.language == "ro"
        wanted = [
            {
                "name": kind.ro if romanian else kind.id,
                "duration_minutes": kind.minutes,
                "price": self.clinic.price(kind.price),
                "currency": self.clinic.currency,
            }
            for kind in KINDS
        ]
        self.types = _named(group, f"{here}/types", "type_id", wanted)
        rooms = [{"name": f"{number + 1}"} for number in range(len(self.clinic.dentists))]
        self.chairs = _named(group, f"{here}/chairs", "chair_id", rooms)
        there = {one["practitioner_id"] for one in group.all(f"{here}/practitioners")}
        for place, dentist in enumerate(self.clinic.dentists, 1):
            if str(dentist) not in there:
                body = _hours(dentist, f"Dr. {self.clinic.name} {place}")
                _must(group.admin.call("POST", f"{here}/practitioners", body), 201, 409)


class Coming:
    """The appointments and requests that are still to come."""

    def __init__(self, group: Group, desks: list[Desk]) -> None:
        self._group, self._desks = group, desks
        self.day = began(desks[0].clinic.clinic_id)

    def book(self) -> int:
        """Make the appointments that are not there; how many there are."""
        numbers = [n for n in range(self._group.count) if comes(n)]
        self._group.each("booked", "appointments to come", numbers, self._book)
        return len(numbers)

    def ask(self) -> int:
        """Make the requests that are not there; how many there are."""
        numbers = [n for n in range(self._group.count) if asks(n)]
        self._group.each("asked", "requests to be decided", numbers, self._ask)
        return len(numbers)

    def _book(self, number: int) -> None:
        of, who = seat(number), self._group.people[number]
        desk, me = self._desks[of.clinic], self._group.reception(of.clinic)
        since = quote(f"{self.day.isoformat()}T00:00:00Z")
        path = f"{_API}?patient_id={who}&clinic_id={desk.clinic.clinic_id}&from={since}&limit=1"
        if _must(me.call("GET", path), 200)["items"]:
            return
        wanted = to_come(max(self.day, datetime.now(UTC).date()), of).isoformat()
        body = {
            "patient_id": str(who),
            "practitioner_id": str(desk.clinic.dentists[of.dentist]),
            "type_id": str(desk.types[number % len(KINDS)]),
        }
        for _ in range(_TRIES):
            made = me.call("POST", _API, {**body, "starts_at": wanted})
            if made.status == 201:
                return
            others = made.body.get("next") or []
            if made.status != 409 or not others:
                raise Unfilled(f"an appointment cannot be booked: {why(made)}")
            wanted = others[0]["starts_at"]
        raise Unfilled(f"there is no time for patient {who}")

    def _ask(self, number: int) -> None:
        of, who = seat(number), self._group.people[number]
        desk, me = self._desks[of.clinic], self._group.reception(of.clinic)
        path = f"{_API}/requests?patient_id={who}&clinic_id={desk.clinic.clinic_id}&limit=100"
        made_at = [one["made_at"] for one in _must(me.call("GET", path), 200)["items"]]
        if any(datetime.fromisoformat(at).date() >= self.day for at in made_at):
            return
        chance = Random(f"asks {number}")  # nosec B311
        start = to_come(max(self.day, datetime.now(UTC).date()), of)
        body = {
            "patient_id": str(who),
            "clinic_id": str(desk.clinic.clinic_id),
            "type_id": str(desk.types[number % len(KINDS)]),
            "windows": [_window(start, days) for days in range(chance.randint(1, 3))],
            "note": chance.choice(REQUEST_NOTES[patient(number)["language"]]),
        }
        _must(me.call("POST", f"{_API}/requests", body), 201)


def _window(start: datetime, days: int) -> dict[str, str]:
    begins = start + timedelta(days=days)
    return {"starts_at": begins.isoformat(), "ends_at": (begins + timedelta(hours=4)).isoformat()}


def _named(group: Group, path: str, key: str, wanted: list[dict[str, Any]]) -> list[UUID]:
    """The ids of what is ``wanted``, in its order; what no name is there for is added."""
    there = {one["name"]: one[key] for one in group.all(path)}
    for body in wanted:
        if body["name"] not in there:
            there[body["name"]] = _must(group.admin.call("POST", path, body), 201)[key]
    return [UUID(there[body["name"]]) for body in wanted]


def _hours(dentist: UUID, name: str) -> dict[str, Any]:
    lunch = [{"starts": _wall(BREAK[0]), "ends": _wall(BREAK[1])}]
    day = {"starts": _wall(START), "ends": _wall(END), "breaks": lunch}
    week = [{"weekday": weekday, **day} for weekday in _WEEK]
    return {"practitioner_id": str(dentist), "display_name": name, "hours": week}


def _wall(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _must(answer: Answer, *statuses: int) -> dict[str, Any]:
    if answer.status not in statuses:
        raise Unfilled(f"not as wanted: {why(answer)}")
    body: dict[str, Any] = answer.body
    return body
