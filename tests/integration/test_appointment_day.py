"""The day view of a clinic."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import pytest

from shared.types import uuid7
from tests.appointment_stack import AppointmentStack, Clinic, person, shift, time_fixture, utc
from tests.service_stack import stack_fixture

stack = stack_fixture(AppointmentStack)
at = time_fixture()


def test_a_day_of_fifty_practitioners_is_one_query(
    stack: AppointmentStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day view shows everybody who works at the clinic with hours and appointments, from one
    statement, whether they have appointments or not; each look at a patient is on record."""
    from shared.wire import Wire

    clinic = Clinic(stack, "Europe/Bucharest")
    doctors = [clinic.practitioner() for _ in range(50)]
    kind = clinic.type()
    for number, doctor in enumerate(doctors[:25]):
        for slot in (utc("2026-03-02T07:00"), utc("2026-03-02T08:00"))[: 1 + number % 2]:
            order = stack.order(stack.patient(), doctor, kind, slot)
            stack.made("POST", "", order, by=clinic.desk)
    clinic.exception("LEAVE", "2026-03-02T00:00", "2026-03-03T00:00", doctors[49])
    statements: list[int] = []
    exchange = Wire.exchange

    def counted(self: Wire, *asked: Any, **more: Any) -> Any:
        statements.append(len(asked))
        return exchange(self, *asked, **more)

    monkeypatch.setattr(Wire, "exchange", counted)
    path = f"/day?clinic_id={clinic.id}&day=2026-03-02"
    found = stack.send("GET", path, by=clinic.desk).get_json()
    assert [1] == statements
    desks = {UUID(desk["practitioner_id"]): desk for desk in found["practitioners"]}
    assert set(doctors) == desks.keys()
    assert [1 + number % 2 for number in range(25)] + [0] * 25 == [
        len(desks[doctor]["appointments"]) for doctor in doctors
    ]
    assert ([2] * 49 + [0], "Europe/Bucharest") == (
        [len(desks[doctor]["work"]) for doctor in doctors],
        found["time_zone"],
    )
    looks = stack.rows(
        "select count(*) as n from audit_log where actor = :desk and action = 'read'",
        desk=clinic.desk.id,
    )
    assert [{"n": 37}] == looks
    assert 403 == stack.send("GET", path, by=person("DENTIST", uuid7())).status_code


def test_a_day_is_the_clinics(stack: AppointmentStack) -> None:
    """What is late in the evening in the clinic is on that day, whatever day it is in Greenwich."""
    clinic = Clinic(stack, "Asia/Jayapura")  # nine hours ahead
    doctor = clinic.practitioner([shift("TUESDAY", "00:00", "24:00")])
    kind = clinic.type()
    for at in ("2026-03-02T15:00", "2026-03-03T14:30"):
        stack.made("POST", "", stack.order(stack.patient(), doctor, kind, utc(at)), by=clinic.desk)
    for day, count in ((date(2026, 3, 2), 0), (date(2026, 3, 3), 2), (date(2026, 3, 4), 0)):
        query = f"clinic_id={clinic.id}&day={day}"
        view = stack.send("GET", f"/day?{query}", by=clinic.desk).get_json()
        assert count == len(view["practitioners"][0]["appointments"])
        listed = stack.send("GET", f"?{query}", by=clinic.desk).get_json()
        assert count == len(listed["items"])
