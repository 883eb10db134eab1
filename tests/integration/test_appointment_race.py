"""Many at once: exactly those get a slot who can, and everybody else is told so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from threading import Barrier
from typing import Any, TypeVar

import pytest
from werkzeug.test import TestResponse

from shared.clocks import clock
from tests.appointment_stack import DAYS, AppointmentStack, Clinic, clinic_fixture, shift
from tests.service_stack import stack_fixture

T = TypeVar("T")

CLIENTS = 200
THREADS = 50
QUARTER = timedelta(minutes=15)

_OVERLAPS = """
select count(*) as n from appointments a join appointments b on a.appointment_id < b.appointment_id
   and a.starts_at < b.ends_at and b.starts_at < a.ends_at
   and (a.practitioner_id = b.practitioner_id or a.patient_id = b.patient_id
        or a.chair_id = b.chair_id)
 where a.status not in ('CANCELLED', 'MISSED') and b.status not in ('CANCELLED', 'MISSED')
"""

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture("UTC")


ALWAYS = [shift(day, "00:00", "24:00") for day in DAYS]


def race(stack: AppointmentStack, work: Callable[[int], T], clients: int = CLIENTS) -> list[T]:
    """What ``work`` returns for each of so many clients, who all begin at once."""
    start = Barrier(THREADS)

    def client(number: int) -> T:
        if number < THREADS:
            start.wait(timeout=60)
        return work(number)

    def leave(_: int) -> None:
        # Each thread comes once: its connection must not be kept from other tests.
        stack.db.close()
        start.wait(timeout=60)

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(client, range(clients)))
        list(pool.map(leave, range(THREADS)))
    return found


def post(
    stack: AppointmentStack, clinic: Clinic, path: str, body: dict[str, Any], **named: Any
) -> TestResponse:
    """What the desk is answered; where it is told to repeat that shortly (503: too many at once for
    this machine, nothing was done), it does."""
    for _ in range(20):
        answer = stack.send("POST", path, body, by=clinic.desk, **named)
        if answer.status_code != 503:
            break
    return answer


def tomorrow() -> Any:
    """Ten o'clock (UTC) tomorrow."""
    now = clock().now() + timedelta(days=1)
    return now.replace(hour=10, minute=0, second=0, microsecond=0)


def test_one_practitioner_and_overlapping_slots(stack: AppointmentStack, clinic: Clinic) -> None:
    """200 people want 20 slots that overlap: those that are taken do not, no further one would
    fit, and all others hear 409."""
    doctor, kind, ten = clinic.practitioner(ALWAYS), clinic.type(30), tomorrow()
    patients = [stack.patient() for _ in range(CLIENTS)]
    starts = [ten + QUARTER * (number % 20) for number in range(CLIENTS)]

    def book(number: int) -> int:
        order = stack.order(patients[number], doctor, kind, starts[number])
        return post(stack, clinic, "", order).status_code

    statuses = race(stack, book)
    won = sorted(starts[n] for n, status in enumerate(statuses) if status == 201)
    assert {201, 409} == set(statuses)
    assert all(later - earlier >= QUARTER * 2 for earlier, later in pairwise(won))
    assert all(any(abs(start - taken) < QUARTER * 2 for taken in won) for start in starts)
    assert [{"n": 0}] == stack.rows(_OVERLAPS)


def test_chairs_and_patients_are_raced_for_too(stack: AppointmentStack, clinic: Clinic) -> None:
    """Ten practitioners, three chairs and people who are wanted everywhere: at each time exactly
    as many get one as there are chairs."""
    chairs = [clinic.chair() for _ in range(3)]
    kind, ten = clinic.type(30, needs_chair=True), tomorrow()
    doctors = [clinic.practitioner(ALWAYS) for _ in range(10)]
    patients = [stack.patient() for _ in range(20)]
    times = [ten + QUARTER * 2 * number for number in range(4)]

    def book(number: int) -> int:
        # Each doctor meets each patient at each time.
        who, whom, when = number % 10, number % 20, times[(number // 10) % 4]
        order = stack.order(patients[whom], doctors[who], kind, when)
        return post(stack, clinic, "", order).status_code

    statuses = race(stack, book)
    won = len(chairs) * len(times)
    assert {201: won, 409: CLIENTS - won} == Counter(statuses)
    assert [{"n": 0}] == stack.rows(_OVERLAPS)


def test_two_swap_their_times(stack: AppointmentStack, clinic: Clinic) -> None:
    """Everybody wants the time that another one has: nobody ends up with two or with none."""
    doctor, kind, ten = clinic.practitioner(ALWAYS), clinic.type(30), tomorrow()
    times = [ten + QUARTER * 2 * number for number in range(4)]
    made = [
        stack.made("POST", "", stack.order(stack.patient(), doctor, kind, at), by=clinic.desk)[
            "appointment_id"
        ]
        for at in times
    ]

    def move(number: int) -> int:
        whose = number % 4
        body = {"starts_at": times[(whose + 1 + number // 4 % 3) % 4].isoformat()}
        return post(stack, clinic, f"/{made[whose]}/reschedule", body, match=1).status_code

    assert {409} == set(race(stack, move, THREADS))
    standing = stack.rows(
        "select starts_at from appointments where practitioner_id = :p order by 1", p=doctor
    )
    assert times == [row["starts_at"] for row in standing]


def test_one_change_of_one_version(stack: AppointmentStack, clinic: Clinic) -> None:
    """Of many who move, cancel or move again one appointment at once, one does so; the others
    changed what was not there any more (412), or wanted what is over (409)."""
    doctor, kind, ten = clinic.practitioner(ALWAYS), clinic.type(30), tomorrow()
    order = stack.order(stack.patient(), doctor, kind, ten)
    path = f"/{stack.made('POST', '', order, by=clinic.desk)['appointment_id']}"

    def change(number: int) -> int:
        if number % 2:
            return post(stack, clinic, f"{path}/cancel", {}, match=1).status_code
        body = {"starts_at": (ten + QUARTER * 2 * number).isoformat()}
        return post(stack, clinic, f"{path}/reschedule", body, match=1).status_code

    statuses = race(stack, change, THREADS)
    assert 1 == statuses.count(200)
    assert {200, 412} >= set(statuses)
    rows = stack.rows(
        "select a.version, a.status, s.starts_at = a.starts_at as held from appointments a"
        " left join slots_taken s on s.slot_id = a.appointment_id where a.practitioner_id = :p",
        p=doctor,
    )
    assert [(2, row["status"] == "CONFIRMED" or None) for row in rows] == [
        (row["version"], row["held"]) for row in rows
    ]


def test_two_series_that_meet(stack: AppointmentStack, clinic: Clinic) -> None:
    """Of series that want the same weeks one is booked whole and the others not at all."""
    doctor, kind, ten = clinic.practitioner(ALWAYS), clinic.type(30), tomorrow()
    patients = [stack.patient() for _ in range(THREADS)]
    more = {"frequency": "WEEKLY", "count": 6}

    def book(number: int) -> int:
        shifted = ten + timedelta(weeks=number % 3)
        order = stack.order(patients[number], doctor, kind, shifted, **more)
        return post(stack, clinic, "/series", order).status_code

    statuses = race(stack, book, THREADS)
    assert {201: 1, 409: THREADS - 1} == Counter(statuses)
    rows = stack.rows("select count(*) as n from appointments where practitioner_id = :p", p=doctor)
    assert [{"n": 6}] == rows


def test_repeated_bookings_race_too(stack: AppointmentStack, clinic: Clinic) -> None:
    """Everybody sends a booking four times at once with one Idempotency-Key: nobody gets two, and
    whoever got one is answered with the same each time, or told to wait for the answer."""
    doctor, kind, ten = clinic.practitioner(ALWAYS), clinic.type(30), tomorrow()
    people = CLIENTS // 4
    patients = [stack.patient() for _ in range(people)]
    answers: dict[int, list[tuple[int, Any]]] = {number: [] for number in range(people)}

    def book(number: int) -> int:
        who = number // 4
        order = stack.order(patients[who], doctor, kind, ten + QUARTER * (who % 20))
        answer = post(stack, clinic, "", order, key=f"race-{patients[who]}")
        answers[who].append((answer.status_code, answer.get_json()))
        return answer.status_code

    assert {201, 409} == set(race(stack, book))
    rows = stack.rows("select patient_id from appointments where practitioner_id = :p", p=doctor)
    assert len(rows) == len({row["patient_id"] for row in rows})
    for who, told in answers.items():
        made = [body["appointment_id"] for status, body in told if status == 201]
        assert bool(made) == (patients[who] in {row["patient_id"] for row in rows})
        assert 1 >= len(set(made))
        types = {body["type"].rpartition(":")[2] for status, body in told if status == 409}
        assert types <= ({"idempotency-in-progress"} if made else types)


def test_series_and_moves_meet(stack: AppointmentStack, clinic: Clinic) -> None:
    """A series is cancelled while its appointments are moved and cancelled one by one: it is
    cancelled whole, without a version that anybody named being in the way."""
    doctor, kind, ten = clinic.practitioner(ALWAYS), clinic.type(30), tomorrow()
    for _ in range(3):
        more = {"frequency": "WEEKLY", "count": 6}
        order = stack.order(stack.patient(), doctor, kind, ten, **more)
        series = stack.made("POST", "/series", order, by=clinic.desk)
        booked = series["booked"]

        def change(
            number: int, series_id: str = series["series_id"], booked: Any = booked
        ) -> tuple[str, int]:
            one = booked[number % 6]
            path, body = f"/{one['appointment_id']}", dict[str, str]()
            if number % 5 == 0:
                what, path = "series", f"/series/{series_id}/cancel"
            elif number % 2:
                what, path = "cancel", f"{path}/cancel"
            else:
                what, path = "move", f"{path}/reschedule"
                moved = datetime.fromisoformat(booked[(number + 1) % 6]["starts_at"])
                body = {"starts_at": (moved + QUARTER * (number % 3)).isoformat()}
            answer = post(stack, clinic, path, body, match=1)
            return what, answer.status_code

        found = set(race(stack, change, THREADS))
        assert found <= {
            *(("series", status) for status in (200, 404)),
            *(("cancel", status) for status in (200, 404, 409, 412)),
            *(("move", status) for status in (200, 404, 409, 412)),
        }
        left = stack.rows(
            "select 1 from slots_taken where practitioner_id = :p and kind = 'APPOINTMENT'",
            p=doctor,
        )
        assert [] == left


@pytest.mark.parametrize("conflicts", ["REFUSE_ALL", "SKIP"])
def test_a_series_that_loses_one_slot(
    stack: AppointmentStack, clinic: Clinic, monkeypatch: pytest.MonkeyPatch, conflicts: str
) -> None:
    """Somebody books the third week after the series saw that it was free: all of the series is
    refused, or what is left of it is booked, as was asked."""
    from functions.appointment.service import booking, series

    doctor, kind, ten = clinic.practitioner(ALWAYS), clinic.type(30), tomorrow()
    third, tries = ten + timedelta(weeks=2), []
    faster = stack.order(stack.patient(), doctor, kind, third)
    place = booking.try_place

    def late(*given: Any, **named: Any) -> Any:
        tries.append(given)
        if len(tries) == 2:
            with ThreadPoolExecutor(1) as other:
                other.submit(stack.made, "POST", "", faster, by=clinic.desk).result()
                other.submit(stack.db.close).result()
        return place(*given, **named)

    monkeypatch.setattr(series, "try_place", late)
    more = {"frequency": "WEEKLY", "count": 4, "conflicts": conflicts}
    order = stack.order(stack.patient(), doctor, kind, ten, **more)
    answer = stack.send("POST", "/series", order, by=clinic.desk)
    assert [third] == [
        datetime.fromisoformat(one["starts_at"]) for one in answer.get_json()["conflicts"]
    ]
    rows = stack.rows("select count(*) as n from slots_taken where practitioner_id = :p", p=doctor)
    expected = (201, 4) if conflicts == "SKIP" else (409, 1)
    assert expected == (answer.status_code, rows[0]["n"])
