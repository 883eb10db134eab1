"""Treatment plans over HTTP: offered, changed and listed."""

from __future__ import annotations

import threading
from typing import Any
from uuid import uuid4

import pytest

from tests.service_stack import world_fixture
from tests.treatment_world import World, item, plan, quiet_fixture, revised

world = world_fixture(World)
quiet = quiet_fixture()


def test_a_plan_is_offered(world: World) -> None:
    """A dentist offers a plan: the patient sees it whole, with what it will cost, and is told."""
    body = plan(
        item(15_000, surfaces=["O", "D"], problem_id=str(uuid4())),
        item(1, tooth="11S", procedure="Extraction"),
        note="after the summer",
        currency="RON",
        patient_id=world.patient_id,
        clinic_id=world.clinic,
    )
    made = world.treat("POST", "", body)
    assert (201, '"1"') == (made.status_code, made.headers["ETag"])
    shown = world.json(made)
    assert f"/api/treatments/{shown['treatment_id']}" == made.headers["Location"]
    assert {"so_far": 0, "to_come": 15_001, "total": 15_001} == shown["costs"]
    assert ("OFFERED", 1, "after the summer") == (
        shown["status"],
        shown["plan_version"],
        shown["note"],
    )
    mine = world.shown(shown["treatment_id"], by=world.ana)
    assert shown == {name: value for name, value in mine.items() if name != "version"}
    assert ["TREATMENT_PLANNED"] == world.sent()


def test_what_a_plan_says_is_sealed(world: World) -> None:
    """The rows tell prices and states, not what is done to whom and why."""
    made = world.offer(item(procedure="Root canal"))
    db = world.platform.databases["treatment"]
    (row,) = db.all(
        "select plan from treatment_versions where treatment_id = :id", id=made["treatment_id"]
    )
    assert b"Root canal" not in row["plan"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"currency": "XYZ"},
        {"phases": []},
        {"phases": [{"title": "First", "items": []}]},
        {"phases": [{"title": "First", "items": [item(-1)]}]},
        {"phases": [{"title": "First", "items": [item(1.5)]}]},  # type: ignore[arg-type]
        {"phases": [{"title": "First", "items": [item(tooth="19")]}]},
        {"phases": [{"title": "First", "items": [item(surfaces=["X"])]}]},
        {"phases": [{"title": "First", "items": [item(surfaces=["M", "M"])]}]},
        {"phases": [{"title": "First", "items": [item(tooth="36", surfaces=["I"])]}]},
        {"phases": [{"title": "First", "items": [item(tooth="11", surfaces=["O"])]}]},
        {"phases": [{"title": "First", "items": [item(tooth="46", surfaces=["P"])]}]},
        {"phases": [{"title": "First", "items": [item(tooth=None, surfaces=["M"])]}]},
        {"phases": [{"title": "First", "items": [item(item_id=str(uuid4()))]}]},
    ],
)
def test_what_makes_no_sense_is_refused(world: World, wrong: dict[str, Any]) -> None:
    """Prices are whole minor units of a real currency, teeth and surfaces those that exist."""
    whose = {"patient_id": world.patient_id, "clinic_id": world.clinic}
    body = {**plan(item(), currency="RON", **whose), **wrong}
    assert 422 == world.treat("POST", "", body).status_code


def test_nobody_plans_for_nobody(world: World) -> None:
    """There is no plan for an id that is no patient's."""
    whose = {"patient_id": str(uuid4()), "clinic_id": world.clinic}
    assert 404 == world.treat("POST", "", plan(item(), currency="RON", **whose)).status_code


def test_items_keep_their_ids_through_versions(world: World) -> None:
    """An item that is sent with its id is the same item; another plan's item is refused."""
    made = world.offer()
    (before,) = made["phases"][0]["items"]
    body = revised(made, price=20_000)
    answer = world.treat("PUT", f"/{made['treatment_id']}/plan", body, match=1)
    (after,) = world.json(answer)["phases"][0]["items"]
    assert (before["item_id"], 20_000) == (after["item_id"], after["price"])
    strange = plan(item(item_id=world.offer()["phases"][0]["items"][0]["item_id"]))
    path = f"/{made['treatment_id']}/plan"
    assert 422 == world.treat("PUT", path, strange, match=2).status_code
    twice = plan(item(item_id=before["item_id"]), item(item_id=before["item_id"]))
    assert 422 == world.treat("PUT", path, twice, match=2).status_code


def test_of_several_who_change_one_version_one_succeeds(world: World) -> None:
    """Nobody overwrites what they have not seen, and every version that was made is kept."""
    made = world.offer()
    answers: list[int] = []
    ready = threading.Barrier(5)

    def change(number: int) -> None:
        ready.wait()
        body = revised(made, price=number)
        path = f"/{made['treatment_id']}/plan"
        answers.append(world.treat("PUT", path, body, match=1).status_code)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [200, 412, 412, 412, 412] == sorted(answers)
    assert 2 == world.shown(made["treatment_id"])["plan_version"]


def test_lists_are_paged(world: World) -> None:
    """A patient's plans, newest first, page by page; reception elsewhere has none of them."""
    token, patient_id = world.patient("many")
    made = [world.offer(patient_id=patient_id)["treatment_id"] for _ in range(5)]
    found: list[str] = []
    cursor = ""
    while True:
        path = f"?patient_id={patient_id}&limit=2{cursor}"
        page = world.json(world.treat("GET", path, by=token))
        found += [one["treatment_id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert made[::-1] == found
    offered = world.json(world.treat("GET", f"?patient_id={patient_id}&status=ACCEPTED"))
    assert [] == offered["items"]
    desk = world.staff("desk-sud", "RECEPTIONIST", world.new_clinic("Sud"))
    assert [] == world.json(world.treat("GET", f"?patient_id={patient_id}", by=desk))["items"]


def test_a_repeated_request_makes_one_plan(world: World) -> None:
    """A POST that is sent again with its Idempotency-Key is answered as before."""
    whose = {"patient_id": world.patient_id, "clinic_id": world.clinic}
    body = plan(item(), currency="RON", **whose)
    key = {"Idempotency-Key": str(uuid4())}
    answers = [
        world.platform.call("POST", "/api/treatments", body, token=world.dentist, headers=key)
        for _ in range(2)
    ]
    assert [201, 201] == [answer.status_code for answer in answers]
    assert answers[0].json == answers[1].json
    assert ["TREATMENT_PLANNED"] == world.sent()
