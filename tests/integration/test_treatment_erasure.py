"""What an erasure leaves of plans and prescriptions: held by law, restricted, or gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from infra.local.settings import EXAMPLE_RETENTION
from shared.config import config
from shared.contracts.dental_records import ToothInterventionPerformed, ToothRecordCorrected
from shared.contracts.gdpr import GdprDataDeletion
from shared.contracts.patient import (
    AllergiesUpdated,
    AnamnesisUpdated,
    NationalIdCorrected,
    PatientUpdated,
)
from shared.messages import Event
from shared.runtime import vault
from tests.service_stack import world_fixture
from tests.treatment_world import World, item, plan

PURPOSE = {"X-Purpose-Of-Use": "HLEGAL"}
TABLES = (
    "item_interventions",
    "treatment_items",
    "treatment_decisions",
    "treatment_versions",
    "treatments",
    "allergy_replicas",
    "prescriptions",
)

world = world_fixture(World)


@pytest.fixture
def held_for_no_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No law holds plans or prescriptions."""
    none = {"days": 0, "reason": "none"}
    rules = EXAMPLE_RETENTION | {"treatment": none, "prescription": none}
    monkeypatch.setenv("RETENTION", json.dumps(rules))
    config.cache_clear()
    yield
    monkeypatch.undo()
    config.cache_clear()


def treated(world: World) -> tuple[str, dict[str, Any], str]:
    """Somebody with a plan, half done, and a prescription: (id, plan, prescription's id)."""
    _, patient_id = world.patient(f"p{uuid4().hex}")
    world.allergies("NONE_KNOWN", patient_id=patient_id)
    made = world.offer(item(100), item(250), patient_id=patient_id)
    body = {
        "plan_version": 1,
        "decision": "ACCEPTED",
        "signed_at": "2026-01-01T10:00:00Z",
        "note": "folder 12",
    }
    path = f"/{made['treatment_id']}/consents"
    assert 200 == world.treat("POST", path, body, by=world.desk).status_code
    world.hear(performed(patient_id, made), 1)
    issued = world.prescribe(patient_id)
    assert 201 == issued.status_code, issued.text
    return patient_id, made, str(world.json(issued)["prescription_id"])


def performed(patient_id: str, made: dict[str, Any], number: int = 0) -> Event:
    """An item of the plan is done."""
    return ToothInterventionPerformed(
        patient_id=UUID(patient_id),
        intervention_id=uuid4(),
        teeth=["36"],
        problem_ids=[],
        treatment_item_id=UUID(made["phases"][0]["items"][number]["item_id"]),
        performer_id=uuid4(),
        performed_at=datetime.now(UTC),
    )


def erase(world: World, patient_id: str) -> None:
    """The person is erased in every service."""
    event = GdprDataDeletion(
        erasure_id=uuid4(),
        patient_id=UUID(patient_id),
        reason="USER_REQUEST_ARTICLE_17",
        requested_at=datetime.now(UTC),
    )
    world.hear(event, None)


def counts(world: World, patient_id: str) -> dict[str, int]:
    """Table -> the person's rows."""
    db = world.platform.databases["treatment"]
    return {
        table: db.all(f"select count(*) as n from {table} where patient_id = :p", p=patient_id)[0][
            "n"
        ]
        for table in TABLES
    }


def test_an_export_shows_everything(world: World) -> None:
    """What a person is given of treatment is readable and whole."""
    patient_id, made, prescription = treated(world)
    treatment = world.platform.services["treatment"]
    shown = treatment.privacy.export(
        world.platform.databases["treatment"], vault("treatment"), UUID(patient_id)
    )
    assert "Composite filling" in shown["treatment_versions"][0]["plan"]
    assert "folder 12" == shown["treatment_decisions"][0]["note"]
    assert made["treatment_id"] == shown["treatments"][0]["treatment_id"]
    assert prescription == shown["prescriptions"][0]["prescription_id"]
    assert "Amoxicillin" in shown["prescriptions"][0]["content"]
    assert {100, 250} == {row["price"] for row in shown["treatment_items"]}


def test_what_a_law_holds_is_restricted(world: World) -> None:
    """Plans and prescriptions stay whole, the replica of allergies goes; only an ADMIN of the group
    who says what for sees what is held, and nobody changes it."""
    patient_id, made, prescription = treated(world)
    erase(world, patient_id)
    left = counts(world, patient_id)
    assert {table for table, n in left.items() if n == 0} == {"allergy_replicas"}
    paths = (f"/{made['treatment_id']}", f"/prescriptions/{prescription}")
    lists = (f"?patient_id={patient_id}", f"/prescriptions?patient_id={patient_id}")
    for path in paths:
        assert [404, 404] == [
            world.treat("GET", path, by=by).status_code for by in (world.dentist, world.admin)
        ]
    for path in (*paths, *lists):
        url = f"/api/treatments{path}"
        found = world.platform.call("GET", url, token=world.admin, headers=PURPOSE)
        assert 200 == found.status_code, path
    for path in lists:
        assert [] == world.json(world.treat("GET", path))["items"]
    refused = [
        world.treat("PUT", f"{paths[0]}/plan", plan(item()), match=3),
        world.treat("POST", f"{paths[1]}/cancel", {"reason": "x"}),
        world.prescribe(patient_id),
        world.treat(
            "POST", "", plan(item(), currency="RON", patient_id=patient_id, clinic_id=world.clinic)
        ),
    ]
    assert [409, 409, 409, 409] == [answer.status_code for answer in refused]


@pytest.mark.usefixtures("held_for_no_time")
def test_what_nothing_holds_is_gone(world: World) -> None:
    """Where no law holds it, nothing is left of the person, and the key is gone."""
    patient_id, _, _ = treated(world)
    erase(world, patient_id)
    assert dict.fromkeys(TABLES, 0) == counts(world, patient_id)
    db = world.platform.databases["treatment"]
    assert [] == db.all("select 1 from subject_keys where subject = :p", p=patient_id)
    assert {} == world.platform.services["treatment"].privacy.remains(db, UUID(patient_id))


@pytest.mark.parametrize("number", range(6))
@pytest.mark.usefixtures("held_for_no_time")
def test_news_from_before_an_erasure_changes_nothing(world: World, number: int) -> None:
    """Whatever message about the person arrives after the erasure, nothing comes back."""
    patient_id, made, _ = treated(world)
    person = UUID(patient_id)
    erase(world, patient_id)
    late: list[Event] = [
        performed(patient_id, made, 1),
        ToothRecordCorrected(
            patient_id=person,
            record_id=uuid4(),
            record="intervention",
            entered_in_error=True,
            treatment_item_id=UUID(made["phases"][0]["items"][0]["item_id"]),
        ),
        AllergiesUpdated(patient_id=person, status="NONE_KNOWN", allergies=[]),
        PatientUpdated(patient_id=person, fields=["phone"]),
        AnamnesisUpdated(patient_id=person),
        NationalIdCorrected(patient_id=person, national_id=None),
    ]
    world.push(late[number], 9)
    assert dict.fromkeys(TABLES, 0) == counts(world, patient_id)


def test_the_hold_of_a_plan_runs_from_its_last_entry(world: World) -> None:
    """All rows of a plan are held as long as its newest entry, so that none is left alone."""
    patient_id, _, _ = treated(world)
    db = world.platform.databases["treatment"]
    long_ago = (
        "update treatments set updated_at = now() - interval '11 years' where patient_id = :p"
    )
    db.all(long_ago, p=patient_id)
    erase(world, patient_id)
    left = counts(world, patient_id)
    assert {"prescriptions"} == {table for table, n in left.items() if n}
