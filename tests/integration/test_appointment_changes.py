"""What becomes of an appointment over HTTP: who may do what, until when, and what is told."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.testing import FrozenClock
from shared.types import uuid7
from tests.appointment_stack import (
    NINE,
    AppointmentStack,
    Clinic,
    Visit,
    clinic_fixture,
    person,
    time_fixture,
    utc,
)
from tests.service_stack import stack_fixture

HOUR = timedelta(hours=1)

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
at = time_fixture()


def test_a_visit_runs_its_course(stack: AppointmentStack, clinic: Clinic, at: FrozenClock) -> None:
    """Booked, there, and over: each step is told with its version, and none can be taken twice."""
    visit = Visit(clinic)
    for match, step, status in ((1, "check-in", "CHECKED_IN"), (2, "complete", "COMPLETED")):
        done, found = visit.do(step, match=match)
        assert (200, status) == (done, found["status"])
        code, problem = visit.do(step, match=match + 1)
        assert (409, status) == (code, problem["appointment_status"])
    assert [("APPOINTMENT_CHECKED_IN", 2), ("APPOINTMENT_COMPLETED", 3)] == [
        (env.event_type, env.metadata.aggregate_version) for env in stack.sent
    ]


def test_nobody_is_missed_before_the_time(
    stack: AppointmentStack, clinic: Clinic, at: FrozenClock
) -> None:
    """Missed is who has not come when it began; the next morning nobody is checked in today."""
    visit, later = Visit(clinic), Visit(clinic, utc("2026-03-04T07:00"))
    assert 409 == visit.do("missed")[0]
    assert 409 == later.do("check-in")[0]
    at.advance(HOUR * 2)
    assert "MISSED" == visit.do("missed")[1]["status"]
    assert ["APPOINTMENT_MISSED"] == stack.types()
    again = stack.order(stack.patient(), visit.doctor, visit.kind, NINE + HOUR / 4)
    assert 201 == stack.send("POST", "", again, by=clinic.desk).status_code


@pytest.mark.parametrize("what", ["cancel", "reschedule"])
def test_patients_change_their_mind_in_time(
    stack: AppointmentStack, clinic: Clinic, at: FrozenClock, what: str
) -> None:
    """A patient cancels and moves until the cut-off of the type, the clinic at any time."""
    early, late = Visit(clinic), Visit(clinic)
    body: dict[str, Any] = {} if what == "cancel" else {"starts_at": (NINE + HOUR * 2).isoformat()}
    at.advance(HOUR)
    assert 200 == early.do(what, by=early.me, **body)[0]
    at.advance(timedelta(seconds=1))
    code, problem = late.do(what, by=late.me, **body)
    assert (409, "urn:dentalhelp:problem:too-late", 60) == (
        code,
        problem["type"],
        problem["cutoff_minutes"],
    )
    assert 200 == late.do(what, **body)[0]


@pytest.mark.parametrize("what", ["cancel", "reschedule", "check-in", "complete", "missed"])
def test_an_appointment_is_nobody_elses(stack: AppointmentStack, clinic: Clinic, what: str) -> None:
    """For another patient and another clinic's staff there is no such appointment; its own patient
    is not checked in by themselves."""
    visit = Visit(clinic)
    body: dict[str, Any] = {"starts_at": (NINE + HOUR).isoformat()} if what == "reschedule" else {}
    assert 404 == visit.do(what, by=person("RECEPTIONIST", uuid7()), **body)[0]
    staff_only = what not in ("cancel", "reschedule")
    assert (403 if staff_only else 404) == visit.do(what, by=person("PATIENT"), **body)[0]
    if staff_only:
        assert 403 == visit.do(what, by=visit.me)[0]
    answer = stack.send("POST", f"/{visit.id}/{what}", body or None, by=clinic.desk)
    assert 428 == answer.status_code


def test_cancelling_frees_the_slot(stack: AppointmentStack, clinic: Clinic) -> None:
    """The slot is free again, the reason is readable for those concerned and sealed, and it is told
    who cancelled."""
    visit = Visit(clinic)
    assert NINE not in visit.free()
    stack.sent.clear()
    code, found = visit.do("cancel", by=visit.me, reason="moved to Cluj")
    assert (200, "CANCELLED", "PATIENT", 2) == (
        code,
        found["status"],
        found["cancelled_by"],
        found["version"],
    )
    assert found["cancelled_at"].startswith("2026-03-02T05:00:00")
    assert NINE in visit.free()
    told = stack.sent[0]
    assert ("APPOINTMENT_CANCELLED", "PATIENT") == (told.event_type, told.payload["cancelled_by"])
    assert "Cluj" not in told.to_json()
    shown = stack.send("GET", f"/{visit.id}", by=clinic.desk).get_json()
    assert "moved to Cluj" == shown["cancellation_reason"]
    assert (412, 409) == (visit.do("cancel")[0], visit.do("cancel", match=2)[0])


def test_a_move_is_one_step(stack: AppointmentStack, clinic: Clinic) -> None:
    """The new time is taken and the old one free; a move onto somebody else, or outside the hours,
    leaves all as it was."""
    visit = Visit(clinic)
    other = clinic.practitioner()
    blocked = stack.order(stack.patient(), other, visit.kind, NINE + HOUR)
    stack.made("POST", "", blocked, by=clinic.desk)
    stack.types()
    onto: dict[str, Any] = {"starts_at": (NINE + HOUR).isoformat(), "practitioner_id": str(other)}
    code, problem = visit.do("reschedule", **onto)
    assert (409, "PRACTITIONER", 3) == (code, problem["reason"], len(problem["next"]))
    outside: dict[str, Any] = {"starts_at": (NINE - HOUR).isoformat()}
    code, problem = visit.do("reschedule", **outside)
    assert (409, "OUTSIDE_HOURS") == (code, problem["reason"])
    assert [] == stack.types()
    # Half an hour later overlaps with where it is itself.
    code, moved = visit.do("reschedule", starts_at=(NINE + HOUR / 2).isoformat())
    assert (200, 2) == (code, moved["version"])
    told = stack.sent[0]
    assert ("APPOINTMENT_RESCHEDULED", 2) == (told.event_type, told.metadata.aggregate_version)
    assert NINE == datetime.fromisoformat(told.payload["previous_starts_at"])
    assert NINE + HOUR / 2 == datetime.fromisoformat(told.payload["starts_at"])
    assert 412 == visit.do("reschedule", starts_at=NINE.isoformat())[0]
    onto["starts_at"] = NINE.isoformat()
    assert 200 == visit.do("reschedule", match=2, **onto)[0]
    assert NINE in visit.free()


def test_a_series(stack: AppointmentStack, clinic: Clinic) -> None:
    """A dry run names the conflicts; refusing all books nothing, skipping the rest; what is to come
    of it is cancelled together."""
    visit = Visit(clinic, utc("2026-03-16T07:00"))
    rule = {"frequency": "WEEKLY", "count": 6}  # the clocks change before the fifth
    order = stack.order(stack.patient(), visit.doctor, visit.kind, NINE, **rule)
    dry = stack.send("POST", "/series", {**order, "dry_run": True}, by=clinic.desk)
    conflict = [{"starts_at": "2026-03-16T07:00:00Z", "reason": "PRACTITIONER"}]
    assert (200, conflict, []) == (
        dry.status_code,
        dry.get_json()["conflicts"],
        dry.get_json()["booked"],
    )
    starts = [slot["starts_at"][:16] for slot in dry.get_json()["possible"]]
    assert ["2026-03-02T07:00", "2026-03-30T06:00"] == [starts[0], starts[3]]
    refused = stack.send("POST", "/series", order, by=clinic.desk)
    problem = refused.get_json()
    assert (409, "urn:dentalhelp:problem:series-conflict", conflict) == (
        refused.status_code,
        problem["type"],
        problem["conflicts"],
    )
    assert [] == stack.types()
    skipping = {**order, "conflicts": "SKIP"}
    made = stack.send("POST", "/series", skipping, by=clinic.desk, key="s-1").get_json()
    again = stack.send("POST", "/series", skipping, by=clinic.desk, key="s-1").get_json()
    assert made == again
    assert (5, conflict) == (len(made["booked"]), made["conflicts"])
    assert {"APPOINTMENT_BOOKED": 5, "APPOINTMENT_CONFIRMED": 5} == Counter(stack.types())
    path = f"/series/{made['series_id']}/cancel"
    assert 404 == stack.send("POST", path, {}, by=person("DENTIST", uuid7())).status_code
    gone = stack.send("POST", path, {"reason": "treated elsewhere"}, by=clinic.desk).get_json()
    assert ["CANCELLED"] * 5 == [item["status"] for item in gone["items"]]
    assert 404 == stack.send("POST", path, {}, by=clinic.desk).status_code
    for ends in ({}, {"count": 2, "until": "2026-05-01"}, {"count": 500}):
        body = {k: v for k, v in order.items() if k != "count"} | ends
        assert 422 == stack.send("POST", "/series", body, by=clinic.desk).status_code
    patient = person("PATIENT", identity=UUID(order["patient_id"]))
    assert 403 == stack.send("POST", "/series", order, by=patient).status_code
