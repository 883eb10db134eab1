"""The waitlist when things go wrong: processes that die, jobs that meet, clocks that differ."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from functions.appointment.jobs import offer_freed_slots
from shared.testing import FrozenClock, frozen
from tests.appointment_stack import (
    NOW,
    AppointmentStack,
    Clinic,
    clinic_fixture,
    person,
    time_fixture,
    utc,
)

NINE = utc("2026-03-03T07:00")
HALF = timedelta(minutes=30)

# Somebody cancels, and the process is killed as soon as that is committed.
_CANCEL_AND_DIE = """
import os, signal, sys
from datetime import datetime
from uuid import UUID
from functions.appointment.service import offers
from shared.testing import frozen
from tests.appointment_stack import AppointmentStack, person

offers._look = lambda freed_id: os.kill(os.getpid(), signal.SIGKILL)
url, clinic, appointment, now = sys.argv[1:]
with frozen(datetime.fromisoformat(now)):
    stack = AppointmentStack(url)
    desk = person("RECEPTIONIST", UUID(clinic))
    print(stack.send("POST", f"/{appointment}/cancel", {}, by=desk, match=1).text)
"""


@pytest.fixture(scope="module")
def url(service_db: Callable[[str], str]) -> str:
    """The service's database."""
    return service_db("appointment")


@pytest.fixture(scope="module")
def stack(url: str) -> AppointmentStack:
    """One stack for the module."""
    return AppointmentStack(url)


clinic = clinic_fixture()
time = time_fixture()


def waits(stack: AppointmentStack, clinic: Clinic, kind: UUID) -> dict[str, Any]:
    """Somebody waits for Tuesday at nine."""
    body = {
        "patient_id": str(stack.patient()),
        "clinic_id": str(clinic.id),
        "type_id": str(kind),
        "windows": [{"starts_at": NINE.isoformat(), "ends_at": (NINE + HALF).isoformat()}],
    }
    made = stack.made("POST", "/waitlist", body, by=clinic.desk)
    made["by"] = person("PATIENT", identity=UUID(made["patient_id"]))
    return made


def offered(stack: AppointmentStack, wish: dict[str, Any]) -> Any:
    """What the wish is offered now."""
    return stack.made("GET", f"/waitlist/{wish['wish_id']}", None, by=wish["by"])["offer"]


def visit(stack: AppointmentStack, clinic: Clinic, doctor: UUID, kind: UUID) -> str:
    """Tuesday at nine is somebody's."""
    order = stack.order(stack.patient(), doctor, kind, NINE)
    made: str = stack.made("POST", "", order, by=clinic.desk)["appointment_id"]
    return made


def cancel(stack: AppointmentStack, clinic: Clinic, appointment: str) -> None:
    """They do not come."""
    answer = stack.send("POST", f"/{appointment}/cancel", {}, by=clinic.desk, match=1)
    assert 200 == answer.status_code, answer.text


def test_a_process_that_is_killed_loses_no_slot(
    stack: AppointmentStack, clinic: Clinic, url: str
) -> None:
    """Between freeing a slot and offering it the process is killed (SIGKILL): the slot is free, and
    the schedule offers it."""
    doctor, kind = clinic.practitioner(), clinic.type()
    appointment, wish = visit(stack, clinic, doctor, kind), waits(stack, clinic, kind)
    died = subprocess.run(
        [sys.executable, "-c", _CANCEL_AND_DIE, url, str(clinic.id), appointment, NOW.isoformat()],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        check=False,
    )
    assert -signal.SIGKILL == died.returncode, died.stderr
    assert NINE in stack.slots(doctor, kind, NINE)
    assert offered(stack, wish) is None
    offer_freed_slots()
    assert NINE == datetime.fromisoformat(offered(stack, wish)["starts_at"])


def test_jobs_that_meet_offer_once(
    stack: AppointmentStack, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two jobs at the same time offer a slot to one person, and tell them once."""
    from functions.appointment.service import offers

    doctor, kind = clinic.practitioner(), clinic.type()
    appointment = visit(stack, clinic, doctor, kind)
    wishes = [waits(stack, clinic, kind) for _ in range(4)]
    with monkeypatch.context() as patched:
        patched.setattr(offers, "_look", lambda freed_id: 0)
        cancel(stack, clinic, appointment)
    stack.types()
    start = threading.Barrier(4)

    def job(_: int) -> int:
        start.wait(timeout=60)
        made = offer_freed_slots()
        stack.db.close()
        return made

    with ThreadPoolExecutor(4) as pool:
        assert 1 == sum(pool.map(job, range(4)))
    assert ["WAITLIST_SLOT_OFFERED"] == stack.types()
    assert 1 == sum(offered(stack, wish) is not None for wish in wishes)


def test_accepting_races_with_the_end_of_the_offer(
    stack: AppointmentStack, time: FrozenClock
) -> None:
    """At the moment an offer ends, the patient accepts on one instance while the schedule runs on
    another: the slot is the patient's, or the next one's offer, and never both or nobody's."""
    for _ in range(6):
        clinic = Clinic(stack, "Europe/Bucharest")
        doctor, kind = clinic.practitioner(), clinic.type()
        appointment = visit(stack, clinic, doctor, kind)
        one = waits(stack, clinic, kind)
        time.advance(timedelta(seconds=1))
        two = waits(stack, clinic, kind)
        cancel(stack, clinic, appointment)
        path = f"/offers/{offered(stack, one)['offer_id']}/accept"
        time.advance(HALF - timedelta(milliseconds=1))
        start = threading.Barrier(3)

        def accept(path: str = path, by: Any = one["by"], start: Any = start) -> int:
            start.wait(timeout=60)
            status = stack.send("POST", path, by=by).status_code
            stack.db.close()
            return status

        def job(start: Any = start) -> int:
            start.wait(timeout=60)
            time.advance(timedelta(milliseconds=1))
            made = offer_freed_slots()
            stack.db.close()
            return made

        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(accept), pool.submit(accept), pool.submit(job)]
            statuses = {answers[0].result(), answers[1].result()}
            answers[2].result()
        offer_freed_slots()
        held = stack.rows("select * from slots_taken where practitioner_id = :d", d=doctor)
        taken = {(row["kind"], str(row["patient_id"])) for row in held}
        if 200 in statuses:
            assert {("APPOINTMENT", one["patient_id"])} == taken
        else:
            assert {410} == statuses
            assert {("OFFER", two["patient_id"])} == taken


def test_instances_whose_clocks_differ(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock
) -> None:
    """What an instance that is ahead has ended, one that is behind neither accepts nor ends again:
    a slot has one owner whatever the clocks say."""
    doctor, kind = clinic.practitioner(), clinic.type()
    appointment = visit(stack, clinic, doctor, kind)
    one = waits(stack, clinic, kind)
    time.advance(timedelta(seconds=1))
    two = waits(stack, clinic, kind)
    cancel(stack, clinic, appointment)
    path = f"/offers/{offered(stack, one)['offer_id']}/accept"
    with frozen(time.now() + HALF):
        offer_freed_slots()
    assert 410 == stack.send("POST", path, by=one["by"]).status_code
    stack.types()
    offer_freed_slots()
    assert [] == stack.types()
    path = f"/offers/{offered(stack, two)['offer_id']}/accept"
    assert 200 == stack.send("POST", path, by=two["by"]).status_code
    with frozen(time.now() + 2 * HALF):
        offer_freed_slots()
    taken = stack.rows("select patient_id from slots_taken where practitioner_id = :d", d=doctor)
    assert [two["patient_id"]] == [str(row["patient_id"]) for row in taken]


def test_many_who_wait_for_what_is_gone_cost_nothing(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot that was freed and booked again is looked at every few minutes: that is a handful of
    statements, however many wait for it."""
    from functions.appointment.service import offers
    from shared.tx import Tx

    doctor, kind = clinic.practitioner(), clinic.type()
    appointment = visit(stack, clinic, doctor, kind)
    cancel(stack, clinic, appointment)
    visit(stack, clinic, doctor, kind)
    wishes = [waits(stack, clinic, kind) for _ in range(20)]
    (freed,) = stack.rows("select * from waitlist_slots where practitioner_id = :d", d=doctor)
    time.advance(timedelta(minutes=6))
    exchanges: list[int] = []
    send = Tx._send

    def counted(self: Tx, batch: Any) -> Any:
        exchanges.append(len(batch))
        return send(self, batch)

    monkeypatch.setattr(Tx, "_send", counted)
    assert 0 == offers._look(freed["freed_id"])
    assert len(wishes) > len(exchanges)


def test_who_withdraws_meanwhile_is_not_asked(
    stack: AppointmentStack, clinic: Clinic, time: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody stops waiting while they are found to be next: the slot is offered to the one after
    them, and no offer is made for a wish that is over."""
    from functions.appointment.service import offers

    doctor, kind = clinic.practitioner(), clinic.type()
    appointment = visit(stack, clinic, doctor, kind)
    first = waits(stack, clinic, kind)
    time.advance(timedelta(seconds=1))
    second, before = waits(stack, clinic, kind), offers._make

    def late(tx: Any, freed: Any, wish: Any, *given: Any, **named: Any) -> Any:
        if str(wish["wish_id"]) == first["wish_id"]:
            with ThreadPoolExecutor(1) as other:
                path = f"/waitlist/{first['wish_id']}/withdraw"
                gone = other.submit(stack.send, "POST", path, by=clinic.desk, match=1).result()
                other.submit(stack.db.close).result()
            assert 200 == gone.status_code
        return before(tx, freed, wish, *given, **named)

    monkeypatch.setattr(offers, "_make", late)
    cancel(stack, clinic, appointment)
    assert offered(stack, first) is None
    assert NINE == datetime.fromisoformat(offered(stack, second)["starts_at"])
