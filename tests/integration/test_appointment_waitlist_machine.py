"""The waitlist under any history: no slot is lost or given twice, and no wish is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from functions.appointment.jobs import offer_freed_slots
from shared.testing import frozen
from tests.appointment_stack import AppointmentStack, Clinic, person, shift, utc

NOW = utc("2026-03-02T05:00")  # a Monday, 07:00 in Bucharest
NINE = utc("2026-03-03T07:00")
HALF = timedelta(minutes=30)
STARTS = [NINE + number * HALF for number in range(4)]
HOURS = [shift("TUESDAY", "09:00", "11:00")]

numbers = st.integers(0, 3)


class Waitlist(RuleBasedStateMachine):
    """Two practitioners with four slots each, four patients, and whoever books beside them."""

    stack: ClassVar[AppointmentStack]

    def __init__(self) -> None:
        super().__init__()
        self.frozen = frozen(NOW)
        self.time = self.frozen.__enter__()
        self.visits: dict[str, dict[str, Any]] = {}
        self.wishes: dict[str, dict[str, Any]] = {}
        self.statuses: dict[str, str] = {}
        self.freed: set[tuple[UUID, datetime]] = set()

    @initialize()
    def open(self) -> None:
        self.clinic = Clinic(self.stack, "Europe/Bucharest")
        self.kind = self.clinic.type(30)
        # Hypothesis repeats histories: what happens must not depend on random ids.
        self.doctors = sorted(self.clinic.practitioner(HOURS) for _ in range(2))
        self.patients = [self.stack.patient() for _ in range(4)]
        for doctor in self.doctors:
            self.book(doctor, self.stack.patient(), STARTS[0])
        # Without somebody who waits for anything, most histories would offer nothing.
        for patient in range(2):
            self.somebody_waits(patient, 0, 4, 2)

    def teardown(self) -> None:
        self.stack.rows(
            "update waitlist_slots set look_at = null where clinic_id = :id returning 1",
            id=self.clinic.id,
        )
        self.frozen.__exit__(None, None, None)

    def post(self, path: str, body: Any = None, match: int | None = None, who: Any = None) -> Any:
        return self.stack.send("POST", path, body, by=who or self.clinic.desk, match=match)

    def book(self, doctor: UUID, patient: UUID, at: datetime) -> None:
        answer = self.post("", self.stack.order(patient, doctor, self.kind, at))
        assert answer.status_code in (201, 409)
        if answer.status_code == 201:
            self.visits[answer.get_json()["appointment_id"]] = answer.get_json()

    def left(self, visit: dict[str, Any]) -> None:
        at = datetime.fromisoformat(visit["starts_at"])
        self.freed.add((UUID(visit["practitioner_id"]), at))

    def one(self, known: dict[str, Any], number: int) -> tuple[str, Any]:
        """One of what is known, in the order in which it was made."""
        key = list(known)[number % len(known)]
        return key, known[key]

    def offers(self) -> dict[str, dict[str, Any]]:
        """What is open in the tables."""
        return {
            str(row["offer_id"]): row
            for row in self.stack.rows(
                "select * from waitlist_offers where clinic_id = :id and status = 'OPEN'"
                " order by starts_at, practitioner_id",
                id=self.clinic.id,
            )
        }

    @rule(doctor=numbers, patient=numbers, start=numbers, stranger=st.booleans())
    def somebody_books(self, doctor: int, patient: int, start: int, stranger: bool) -> None:
        who = self.stack.patient() if stranger else self.patients[patient]
        self.book(self.doctors[doctor % 2], who, STARTS[start])

    @precondition(lambda self: self.visits)
    @rule(number=st.integers(0, 20))
    def somebody_cancels(self, number: int) -> None:
        key, visit = self.one(self.visits, number)
        answer = self.post(f"/{key}/cancel", {}, visit["version"])
        assert 200 == answer.status_code, answer.text
        del self.visits[key]
        self.left(visit)

    @precondition(lambda self: self.visits)
    @rule(number=st.integers(0, 20), doctor=numbers, start=numbers)
    def somebody_moves(self, number: int, doctor: int, start: int) -> None:
        key, visit = self.one(self.visits, number)
        to = {
            "starts_at": STARTS[start].isoformat(),
            "practitioner_id": str(self.doctors[doctor % 2]),
        }
        answer = self.post(f"/{key}/reschedule", to, visit["version"])
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 200:
            self.visits[key] = answer.get_json()
            self.left(visit)

    @rule(patient=numbers, start=numbers, count=st.integers(1, 4), doctor=st.integers(0, 2))
    def another_waits(self, patient: int, start: int, count: int, doctor: int) -> None:
        self.somebody_waits(patient, start, count, doctor)

    def somebody_waits(self, patient: int, start: int, count: int, doctor: int) -> None:
        body = {
            "patient_id": str(self.patients[patient]),
            "clinic_id": str(self.clinic.id),
            "type_id": str(self.kind),
            "windows": [
                {
                    "starts_at": STARTS[start].isoformat(),
                    "ends_at": (STARTS[start] + count * HALF).isoformat(),
                }
            ],
        }
        if doctor < 2:
            body["practitioner_id"] = str(self.doctors[doctor])
        made = self.stack.made("POST", "/waitlist", body, by=self.clinic.desk)
        self.time.advance(timedelta(seconds=1))
        self.wishes[made["wish_id"]], self.statuses[made["wish_id"]] = made, "WAITING"

    @precondition(lambda self: self.wishes)
    @rule(number=st.integers(0, 20))
    def somebody_waits_no_more(self, number: int) -> None:
        key, _ = self.one(self.wishes, number)
        answer = self.post(f"/waitlist/{key}/withdraw", match=1)
        expected = 200 if self.statuses[key] == "WAITING" else 412
        assert expected == answer.status_code, answer.text
        if expected == 200:
            self.statuses[key] = "WITHDRAWN"

    @precondition(lambda self: self.offers())
    @rule(number=st.integers(0, 20), accept=st.booleans(), twice=st.booleans())
    def somebody_answers(self, number: int, accept: bool, twice: bool) -> None:
        key, offer = self.one(self.offers(), number)
        patient = person("PATIENT", identity=offer["patient_id"])
        over = self.time.now() >= offer["expires_at"]
        path = f"/offers/{key}/{'accept' if accept else 'decline'}"
        for _ in range(1 + twice):
            answer = self.post(path, who=patient)
            expected = 410 if over else 200 if accept else 204
            assert expected == answer.status_code, answer.text
        if accept and not over:
            visit = answer.get_json()
            self.visits[visit["appointment_id"]] = visit
            self.statuses[str(offer["wish_id"])] = "BOOKED"

    @rule(minutes=st.integers(5, 40))
    def time_goes_by(self, minutes: int) -> None:
        self.time.advance(timedelta(minutes=minutes))
        offer_freed_slots()
        self.nobody_is_forgotten()

    def nobody_is_forgotten(self) -> None:
        """What was freed and can be booked is nobody's wish who could be asked."""
        taken = self.stack.rows(
            "select patient_id, starts_at from slots_taken where clinic_id = :id",
            id=self.clinic.id,
        )
        busy = {(row["patient_id"], row["starts_at"]) for row in taken}
        asked = {
            (row["patient_id"], row["practitioner_id"], row["starts_at"])
            for row in self.stack.rows(
                "select * from waitlist_offers where clinic_id = :id", id=self.clinic.id
            )
        }
        held = {str(row["wish_id"]) for row in self.offers().values()}
        for doctor in self.doctors:
            visible = set(self.stack.slots(doctor, self.kind, NINE))
            for at in (at for who, at in self.freed if who == doctor and at in visible):
                for key, wish in self.wishes.items():
                    patient = UUID(wish["patient_id"])
                    assert not (
                        self.statuses[key] == "WAITING"
                        and key not in held
                        and wish["practitioner_id"] in (None, str(doctor))
                        and (patient, at) not in busy
                        and (patient, doctor, at) not in asked
                        and any(
                            datetime.fromisoformat(window["starts_at"]) <= at
                            and at + HALF <= datetime.fromisoformat(window["ends_at"])
                            for window in wish["windows"]
                        )
                    )

    @invariant()
    def every_slot_is_somewhere(self) -> None:
        """Each slot is an appointment's, held by an open offer, or free and visible."""
        if not hasattr(self, "clinic"):
            return
        appointed = {
            (UUID(visit["practitioner_id"]), datetime.fromisoformat(visit["starts_at"]))
            for visit in self.visits.values()
        }
        held = {(row["practitioner_id"], row["starts_at"]) for row in self.offers().values()}
        assert not appointed & held
        assert len(self.visits) == len(appointed)
        for doctor in self.doctors:
            visible = set(self.stack.slots(doctor, self.kind, NINE))
            for at in STARTS:
                places = [(doctor, at) in appointed, (doctor, at) in held, at in visible]
                assert 1 == sum(places)

    @invariant()
    def every_wish_is_known(self) -> None:
        """Each wish is what became of it; one that waits has one offer at most."""
        if not hasattr(self, "clinic"):
            return
        rows = self.stack.rows(
            "select wish_id, status, (select count(*) from waitlist_offers o where"
            " o.wish_id = w.wish_id and o.status = 'OPEN') as offers"
            " from waitlist_wishes w where clinic_id = :id",
            id=self.clinic.id,
        )
        assert self.statuses == {str(row["wish_id"]): row["status"] for row in rows}
        assert all(row["offers"] <= (row["status"] == "WAITING") for row in rows)

    @invariant()
    def nobody_is_asked_twice(self) -> None:
        """No patient was offered one practitioner's slot twice."""
        if not hasattr(self, "clinic"):
            return
        twice = self.stack.rows(
            "select patient_id from waitlist_offers where clinic_id = :id"
            " group by patient_id, practitioner_id, starts_at having count(*) > 1",
            id=self.clinic.id,
        )
        assert [] == twice


@pytest.fixture(scope="module")
def machine(service_db: Callable[[str], str]) -> type[Waitlist]:
    """The machine on a database of its own."""
    stack = AppointmentStack(service_db("appointment"))
    return type("Waitlist", (Waitlist,), {"stack": stack})


def _run(machine: type[Waitlist], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_nothing_is_lost(machine: type[Waitlist]) -> None:
    """Whatever people do, each freed slot is held, booked or visible, and each wish is kept."""
    _run(machine, 10, 16)


@pytest.mark.long
def test_nothing_is_lost_in_long_histories(machine: type[Waitlist]) -> None:
    """The same for many and longer histories."""
    _run(machine, 150, 50)
