"""Who sees a tooth chart, who has seen it, and what is left of it after an erasure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from functions.dental_records.main import service
from functions.dental_records.store.projection import PROJECTOR
from infra.local.settings import EXAMPLE_RETENTION
from shared.config import config
from shared.contracts.gdpr import GdprDataDeletion
from shared.contracts.patient import PatientRegistered
from shared.messages import envelope
from shared.runtime import vault
from tests.dental_stack import CARIES, DentalStack, admin, patient, receptionist
from tests.service_stack import stack_fixture

PURPOSE = {"X-Purpose-Of-Use": "HLEGAL"}
READS = ("chart", "chart.svg", "problems", "interventions", "teeth/16/history")

stack = stack_fixture(DentalStack)


@pytest.fixture
def held_for_no_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No law holds a dental record."""
    rules = EXAMPLE_RETENTION | {"dental_record": {"days": 0, "reason": "none"}}
    monkeypatch.setenv("RETENTION", json.dumps(rules))
    config.cache_clear()
    yield
    monkeypatch.undo()
    config.cache_clear()


def _erase(stack: DentalStack, person: UUID) -> None:
    event = GdprDataDeletion(
        erasure_id=uuid4(),
        patient_id=person,
        reason="USER_REQUEST_ARTICLE_17",
        requested_at="2026-01-15T10:30:00Z",
    )
    sent = envelope(event, source="auth", version=1)
    assert "handled" == stack.deliver(sent, topic="gdpr")


def _recorded(stack: DentalStack) -> UUID:
    person = stack.registered()
    problem = stack.diagnosed(person, note="quillfeather")["problem_id"]
    stack.performed(person, problem_ids=[problem], materials=[{"name": "gold", "lot": "Q-1"}])
    return person


def test_only_the_patient_and_who_treats_read(stack: DentalStack) -> None:
    """The patient and dentists read; an ADMIN of the group who says what for; nobody else."""
    person = _recorded(stack)
    for path in READS:
        url = f"/{person}/{path}"
        assert [200, 200, 403, 403, 403, 200] == [
            stack.send("GET", url, by=caller, headers=headers).status_code
            for caller, headers in (
                (None, {}),
                (patient(person), {}),
                (patient(uuid4()), {}),
                (receptionist(), {}),
                (admin(), {}),
                (admin(), PURPOSE),
            )
        ]


def test_every_look_is_on_record(stack: DentalStack) -> None:
    """Whoever reads or writes a chart stands in the audit log, once for each request."""
    person, reader = _recorded(stack), patient(uuid4())
    before = len(stack.db.all("select from audit_log where person_id = :p", p=person))
    assert 2 == before
    for path in READS:
        stack.send("GET", f"/{person}/{path}")
    assert 403 == stack.send("GET", f"/{person}/chart", by=reader).status_code
    rows = stack.db.all("select * from audit_log where person_id = :p order by id", p=person)
    assert [
        ("create", "tooth problem"),
        ("create", "tooth intervention"),
        ("read", "tooth chart"),
        ("read", "tooth chart"),
        ("read", "tooth problems"),
        ("read", "tooth interventions"),
        ("read", "tooth chart"),
    ] == [(row["action"], row["what"]) for row in rows]
    assert {stack.dentist.id} == {row["actor"] for row in rows}


def test_nothing_of_the_finding_can_be_read_in_the_tables(stack: DentalStack) -> None:
    """Whoever has the tables and not the keys learns no code, note, material or lot."""
    person = _recorded(stack)
    stack.ok("GET", f"/{person}/problems")
    for table in (
        *("tooth_problems_a", "tooth_interventions_a", "events"),
        *("audit_log", "outbox", "idempotency_keys", "snapshots"),
    ):
        text = str(stack.db.all(f"select t::text from {table} t"))
        for needle in ("K02.1", "quillfeather", "gold", "Q-1", "FILLING"):
            assert needle not in text, table


def test_an_erasure_leaves_nothing(stack: DentalStack, held_for_no_time: None) -> None:
    """Where no law holds the chart it is gone with its key: for everybody, and for good."""
    person = _recorded(stack)
    stack.ok("GET", f"/{person}/problems")
    _erase(stack, person)
    for headers, caller in (({}, None), (PURPOSE, admin()), ({}, patient(person))):
        for path in READS:
            answer = stack.send("GET", f"/{person}/{path}", by=caller, headers=headers)
            assert 404 == answer.status_code, path
    assert 409 == stack.send("POST", f"/{person}/problems", CARIES).status_code
    assert {} == service.privacy.remains(stack.db, person)
    assert [] == stack.db.all("select from subject_keys where subject = :p", p=person)
    shown = service.privacy.export(stack.db, vault("dental_records"), person)
    assert not any(shown.values())
    assert [] == PROJECTOR.check()


def test_what_a_law_holds_is_restricted(stack: DentalStack) -> None:
    """A held chart is read by an ADMIN of the group who states a purpose, and changed by nobody;
    who looks for a lot does not find it."""
    person = _recorded(stack)
    problem = stack.ok("GET", f"/{person}/problems")["items"][0]["problem_id"]
    _erase(stack, person)
    erased = stack.told()[-1].payload
    assert {"events", "tooth_problems_a", "tooth_interventions_a"} == {
        held["what"] for held in erased["held"]
    }
    for path in READS:
        assert 404 == stack.send("GET", f"/{person}/{path}").status_code
        assert 404 == stack.send("GET", f"/{person}/{path}", by=patient(person)).status_code
        assert 403 == stack.send("GET", f"/{person}/{path}", by=admin()).status_code
    chart = stack.ok("GET", f"/{person}/chart", by=admin(), headers=PURPOSE)
    assert [problem] == [row["problem_id"] for row in chart["problems"]]
    listed = stack.ok("GET", f"/{person}/problems", by=admin(), headers=PURPOSE)
    assert chart["problems"] == listed["items"]
    path = f"/{person}/problems/{problem}"
    body = {**CARIES, "reason": "late"}
    assert 409 == stack.send("PUT", path, body, match=2).status_code
    assert 409 == stack.send("POST", f"/{person}/problems", CARIES).status_code
    found = stack.ok("GET", "/interventions?lot=Q-1&limit=200")["items"]
    assert str(person) not in {row["patient_id"] for row in found}
    assert [] == PROJECTOR.check()


def test_a_late_message_brings_nobody_back(stack: DentalStack) -> None:
    """A registration from before the erasure that arrives after it changes nothing."""
    person = _recorded(stack)
    _erase(stack, person)
    late = PatientRegistered(patient_id=person)
    assert "erased" == stack.receive(late, version=1)
    assert [] == stack.db.all("select from known_people where person_id = :p", p=person)
    assert 409 == stack.send("POST", f"/{person}/problems", CARIES).status_code


def test_an_export_has_all_facts(stack: DentalStack) -> None:
    """The patient gets every fact, readable."""
    person = _recorded(stack)
    shown = service.privacy.export(stack.db, vault("dental_records"), person)
    assert ["PROBLEM_DIAGNOSED", "INTERVENTION_PERFORMED"] == [
        row["type"] for row in shown["events"]
    ]
    assert "quillfeather" == shown["events"][0]["fact"]["problem"]["note"]
