"""What becomes of appointments, in any order: never two for one person, practitioner or chair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from shared.testing import FrozenClock, frozen
from tests.appointment_stack import DAYS, AppointmentStack, Clinic, shift, utc
from tests.service_stack import stack_fixture

NOW = utc("2026-03-02T00:00")
STEP = timedelta(minutes=15)
ALWAYS = [shift(day, "00:00", "24:00") for day in DAYS]

_STANDING = """
select a.appointment_id, a.practitioner_id, a.patient_id, a.chair_id, a.starts_at, a.ends_at
  from appointments a where a.clinic_id = :clinic and a.status not in ('CANCELLED', 'MISSED')
 order by a.appointment_id
"""
_TAKEN = """
select slot_id as appointment_id, practitioner_id, patient_id, chair_id, starts_at, ends_at
  from slots_taken where clinic_id = :clinic order by slot_id
"""


@dataclass(frozen=True)
class Held:
    """What the model knows of one appointment."""

    doctor: UUID
    patient: UUID
    chair: bool
    start: datetime
    end: datetime
    status: str = "CONFIRMED"
    version: int = 1

    def meets(self, start: datetime, end: datetime) -> bool:
        """Does it stand, and at this time?"""
        standing = self.status not in ("CANCELLED", "MISSED")
        return standing and self.start < end and start < self.end


class Appointments(RuleBasedStateMachine):
    """Two practitioners, three patients, one chair, and slots that overlap."""

    stack: AppointmentStack
    made: Bundle[UUID] = Bundle("made")
    at = st.integers(min_value=1, max_value=12)

    @initialize()
    def begin(self) -> None:
        """A clinic of this example's own."""
        self.frozen = frozen(NOW)
        self.clock: FrozenClock = self.frozen.__enter__()
        self.clinic = Clinic(self.stack, "UTC")
        self.clinic.chair()
        self.doctors = [self.clinic.practitioner(ALWAYS) for _ in range(2)]
        self.patients = [self.stack.patient() for _ in range(3)]
        self.kinds = [self.clinic.type(30), self.clinic.type(45, needs_chair=True)]
        self.model: dict[UUID, Held] = {}

    def teardown(self) -> None:
        """The clock goes on."""
        if hasattr(self, "frozen"):
            self.frozen.__exit__(None, None, None)

    def free(self, wanted: Held, but: UUID | None = None) -> bool:
        """Has everybody time, apart from what ``but`` takes now?"""
        return not any(
            held.meets(wanted.start, wanted.end)
            and (
                held.doctor == wanted.doctor
                or held.patient == wanted.patient
                or (held.chair and wanted.chair)
            )
            for key, held in self.model.items()
            if key != but
        )

    def wish(self, doctor: int, patient: int, kind: int, at: int) -> Held:
        """What the model expects of a booking."""
        start = NOW + timedelta(hours=1) + STEP * at
        length = timedelta(minutes=(30, 45)[kind])
        return Held(self.doctors[doctor], self.patients[patient], kind == 1, start, start + length)

    def post(self, path: str, body: Any, match: int | None = None) -> tuple[int, Any]:
        """What the desk is answered."""
        answer = self.stack.send("POST", path, body, by=self.clinic.desk, match=match)
        return answer.status_code, answer.get_json()

    @rule(
        target=made,
        doctor=st.integers(0, 1),
        patient=st.integers(0, 2),
        kind=st.integers(0, 1),
        at=at,
    )
    def book(self, doctor: int, patient: int, kind: int, at: int) -> Any:
        """A booking succeeds if and only if everybody has time."""
        wanted = self.wish(doctor, patient, kind, at)
        future = wanted.start >= self.clock.now()
        order = self.stack.order(wanted.patient, wanted.doctor, self.kinds[kind], wanted.start)
        status, found = self.post("", order)
        assert (201 if future and self.free(wanted) else 409) == status
        if status != 201:
            assert all(
                self.free(replace(wanted, start=start, end=start + (wanted.end - wanted.start)))
                for start in (datetime.fromisoformat(one["starts_at"]) for one in found["next"])
            )
            return multiple()
        appointment = UUID(found["appointment_id"])
        self.model[appointment] = wanted
        return appointment

    @rule(
        target=made,
        doctor=st.integers(0, 1),
        patient=st.integers(0, 2),
        kind=st.integers(0, 1),
        at=at,
        skip=st.booleans(),
        dry_run=st.booleans(),
    )
    def book_series(
        self, *, doctor: int, patient: int, kind: int, at: int, skip: bool, dry_run: bool
    ) -> Any:
        """A series takes what is free, or nothing, and a dry run says so beforehand."""
        first = self.wish(doctor, patient, kind, at)
        weeks = [
            replace(first, start=first.start + shifted, end=first.end + shifted)
            for shifted in (timedelta(weeks=number) for number in range(2))
        ]
        free = [one for one in weeks if one.start >= self.clock.now() and self.free(one)]
        order = self.stack.order(
            first.patient,
            first.doctor,
            self.kinds[kind],
            first.start,
            frequency="WEEKLY",
            count=2,
            conflicts="SKIP" if skip else "REFUSE_ALL",
            dry_run=dry_run,
        )
        status, found = self.post("/series", order)
        if dry_run:
            starts = [datetime.fromisoformat(one["starts_at"]) for one in found["possible"]]
            assert (200, [one.start for one in free]) == (status, starts)
            return multiple()
        wanted = free if skip or len(free) == len(weeks) else []
        assert (201 if wanted else 409) == status
        keys = [UUID(one["appointment_id"]) for one in found["booked"]] if wanted else []
        self.model.update(zip(keys, wanted, strict=True))
        return multiple(*keys)

    @rule(appointment=made, doctor=st.integers(0, 1), at=at)
    def move(self, appointment: UUID, doctor: int, at: int) -> None:
        """A move succeeds if everybody has time apart from the appointment itself; else it stays
        where it is."""
        old = self.model[appointment]
        start = NOW + timedelta(hours=1) + STEP * at
        new = replace(
            old,
            doctor=self.doctors[doctor],
            start=start,
            end=start + (old.end - old.start),
            version=old.version + 1,
        )
        body = {"starts_at": start.isoformat(), "practitioner_id": str(new.doctor)}
        status, _ = self.post(f"/{appointment}/reschedule", body, match=old.version)
        possible = (
            old.status == "CONFIRMED"
            and start >= self.clock.now()
            and self.free(new, but=appointment)
        )
        assert (200 if possible else 409) == status
        if possible:
            self.model[appointment] = new

    @rule(appointment=made, step=st.sampled_from(("cancel", "missed", "check-in", "complete")))
    def go_on(self, appointment: UUID, step: str) -> None:
        """Each step is possible from its states only, and not before its time."""
        old = self.model[appointment]
        begun = self.clock.now() >= old.start
        today = self.clock.now() >= old.start - timedelta(hours=12)
        after = {
            ("cancel", "CONFIRMED"): "CANCELLED",
            ("cancel", "CHECKED_IN"): "CANCELLED",
            ("missed", "CONFIRMED"): "MISSED" if begun else None,
            ("check-in", "CONFIRMED"): "CHECKED_IN" if today else None,
            ("complete", "CHECKED_IN"): "COMPLETED" if today else None,
        }.get((step, old.status))
        body: dict[str, Any] | None = {} if step == "cancel" else None
        status, found = self.post(f"/{appointment}/{step}", body, match=old.version)
        assert (409 if after is None else 200) == status
        if after is not None:
            assert after == found["status"]
            self.model[appointment] = replace(old, status=after, version=old.version + 1)

    @rule(minutes=st.integers(1, 60))
    def wait(self, minutes: int) -> None:
        """Time passes."""
        self.clock.advance(timedelta(minutes=minutes))

    @invariant()
    def nobody_is_in_two_places(self) -> None:
        """What stands is what is taken, as the model says, and no two of it overlap."""
        if not hasattr(self, "clinic"):
            return
        standing = self.stack.rows(_STANDING, clinic=self.clinic.id)
        assert standing == self.stack.rows(_TAKEN, clinic=self.clinic.id)
        assert {
            key: (held.doctor, held.patient, held.start, held.end)
            for key, held in self.model.items()
            if held.status not in ("CANCELLED", "MISSED")
        } == {
            row["appointment_id"]: (
                row["practitioner_id"],
                row["patient_id"],
                row["starts_at"],
                row["ends_at"],
            )
            for row in standing
        }
        for row in standing:
            for other in standing:
                if row is not other and row["starts_at"] < other["ends_at"]:
                    apart = other["starts_at"] >= row["ends_at"]
                    names = ("practitioner_id", "patient_id", "chair_id")
                    shared = [n for n in names if row[n] is not None and row[n] == other[n]]
                    assert apart or not shared


stack = stack_fixture(AppointmentStack)


def _run(stack: AppointmentStack, examples: int, steps: int) -> None:
    machine = type("OnThisStack", (Appointments,), {"stack": stack})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=examples < 50,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_history(stack: AppointmentStack) -> None:
    """Whatever becomes of appointments, a booking succeeds if and only if practitioner, patient and
    chair have time, and no two appointments that stand ever overlap."""
    _run(stack, examples=8, steps=20)


@pytest.mark.long
def test_any_long_history(stack: AppointmentStack) -> None:
    """The same for more and longer histories, other ones each time."""
    _run(stack, examples=150, steps=50)
