"""Treatment plans over HTTP: offered, changed, agreed to; who sees and does what."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.service_stack import world_fixture
from tests.treatment_world import World, item, plan

world = world_fixture(World)


@pytest.fixture(autouse=True)
def _quiet(world: World) -> None:
    world.sent()


def revised(shown: dict[str, Any], *more: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of a next version: the items there are, changed alike, and ``more``."""
    kept = [
        {key: one[key] for key in ("item_id", "procedure", "price", "tooth")} | changes
        for phase in shown["phases"]
        for one in phase["items"]
    ]
    return plan(*kept, *more)


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


def test_a_new_version_needs_a_new_consent(world: World) -> None:
    """Each change is a version of its own, kept with who agreed to it; the newest is on offer."""
    made = world.offer()
    identity = made["treatment_id"]
    assert 200 == world.accept(identity).status_code
    assert ["TREATMENT_PLANNED", "TREATMENT_ACCEPTED"] == world.sent()
    now = world.shown(identity)
    body = revised(now, item(500, procedure="X-ray"))
    answer = world.treat("PUT", f"/{identity}/plan", body, match=now["version"])
    assert (200, "OFFERED", 2, 15_500) == (
        answer.status_code,
        world.json(answer)["status"],
        world.json(answer)["plan_version"],
        world.json(answer)["costs"]["total"],
    )
    assert 409 == world.accept(identity, 1).status_code
    assert "ACCEPTED" == world.json(world.accept(identity, 2))["status"]
    assert ["TREATMENT_PLANNED", "TREATMENT_ACCEPTED"] == world.sent()
    versions = world.json(world.treat("GET", f"/{identity}/versions", by=world.ana))["items"]
    assert [(2, 2), (1, 1)] == [
        (one["plan_version"], len(one["phases"][0]["items"])) for one in versions
    ]
    assert [["ACCEPTED"], ["ACCEPTED"]] == [
        [said["decision"] for said in one["decisions"]] for one in versions
    ]
    assert versions[0]["decisions"][0]["recorded_by"] == world.patient_id


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


def test_a_consent_races_a_new_version(world: World) -> None:
    """Whoever is first: a plan is never ACCEPTED in a version that the patient did not name."""
    for _ in range(3):
        made = world.offer()
        identity = made["treatment_id"]
        ready = threading.Barrier(2)

        def agree(identity: str = identity, ready: threading.Barrier = ready) -> None:
            ready.wait()
            world.accept(identity)

        def revise(
            identity: str = identity,
            made: dict[str, Any] = made,
            ready: threading.Barrier = ready,
        ) -> None:
            ready.wait()
            world.treat("PUT", f"/{identity}/plan", revised(made, price=1), match=1)

        threads = [threading.Thread(target=agree), threading.Thread(target=revise)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        now = world.shown(identity)
        assert (now["plan_version"], now["status"]) in ((1, "ACCEPTED"), (2, "OFFERED"))


def test_a_decision_again_changes_nothing(world: World) -> None:
    """To agree twice is to agree once; what was declined needs a new offer."""
    identity = world.offer()["treatment_id"]
    assert [200, 200] == [world.accept(identity).status_code for _ in range(2)]
    body = {"plan_version": 1, "note": "too expensive"}
    decline = [
        world.treat("POST", f"/{identity}/decline", body, by=world.ana).status_code
        for _ in range(2)
    ]
    assert [200, 200] == decline
    assert 409 == world.accept(identity).status_code
    assert ["TREATMENT_PLANNED", "TREATMENT_ACCEPTED"] == world.sent()
    (version,) = world.json(world.treat("GET", f"/{identity}/versions"))["items"]
    assert [("ACCEPTED", None), ("DECLINED", "too expensive")] == [
        (said["decision"], said["note"]) for said in version["decisions"]
    ]


def test_a_signature_on_paper(world: World) -> None:
    """Staff of the clinic record what was signed, when and where the paper is; not in advance."""
    identity = world.offer()["treatment_id"]
    signed = datetime.now(UTC) - timedelta(days=1)
    body = {
        "plan_version": 1,
        "decision": "ACCEPTED",
        "signed_at": signed.isoformat(),
        "note": "folder 12",
    }
    path = f"/{identity}/consents"
    later = {**body, "signed_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    assert 422 == world.treat("POST", path, later, by=world.desk).status_code
    assert 422 == world.treat("POST", path, {**body, "note": " "}, by=world.desk).status_code
    assert 200 == world.treat("POST", path, body, by=world.desk).status_code
    (version,) = world.json(world.treat("GET", f"/{identity}/versions"))["items"]
    (said,) = version["decisions"]
    assert ("PAPER", "folder 12", signed) == (
        said["how"],
        said["note"],
        datetime.fromisoformat(said["decided_at"]),
    )
    db = world.platform.databases["treatment"]
    rows = db.all("select what from audit_log where what = 'consent on paper'")
    assert 1 == len(rows)


def test_who_may_do_what(world: World) -> None:
    """Plans are their patient's and the dentists'; reception has its own clinic's; others none."""
    identity = world.offer()["treatment_id"]
    other = world.new_clinic("Nord")
    stranger, _ = world.patient("stranger")
    away, desk_away = (
        world.staff("dentist-nord", "DENTIST", other),
        world.staff("desk-nord", "RECEPTIONIST", other),
    )
    seen = {
        who: world.treat("GET", f"/{identity}", by=token).status_code
        for who, token in {
            "patient": world.ana,
            "desk": world.desk,
            "dentist away": away,
            "desk away": desk_away,
            "stranger": stranger,
            "admin": world.admin,
        }.items()
    }
    assert {
        "patient": 200,
        "desk": 200,
        "dentist away": 200,
        "desk away": 404,
        "stranger": 404,
        "admin": 404,
    } == seen
    purpose = {"X-Purpose-Of-Use": "HLEGAL"}
    path, whose = f"/api/treatments/{identity}", f"/api/treatments?patient_id={world.patient_id}"
    for url, unsaid in ((path, 404), (whose, 403)):
        assert unsaid == world.platform.call("GET", url, token=world.admin).status_code
        answer = world.platform.call("GET", url, token=world.admin, headers=purpose)
        assert 200 == answer.status_code
    body = {"plan_version": 1}
    for token in (stranger, world.dentist, world.desk):
        assert 404 == world.treat("POST", f"/{identity}/accept", body, by=token).status_code
    assert 404 == world.treat("GET", f"/{identity}/versions", by=stranger).status_code
    paper = {
        "plan_version": 1,
        "decision": "ACCEPTED",
        "signed_at": "2026-01-01T10:00:00Z",
        "note": "x",
    }
    for token in (away, desk_away):
        assert 403 == world.treat("POST", f"/{identity}/consents", paper, by=token).status_code
    assert (
        403 == world.treat("PUT", f"/{identity}/plan", plan(item()), by=away, match=1).status_code
    )
    assert "OFFERED" == world.shown(identity)["status"]


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


def test_every_look_is_on_record(world: World) -> None:
    """Each plan that is shown leaves one row in the audit log, one that is not shown none."""
    identity = world.offer()["treatment_id"]
    stranger, _ = world.patient("curious")
    db = world.platform.databases["treatment"]
    count = "select count(*) as n from audit_log where what = 'treatment plan' and action = 'read'"
    before = db.all(count)[0]["n"]
    world.treat("GET", f"/{identity}", by=stranger)
    assert before == db.all(count)[0]["n"]
    world.treat("GET", f"/{identity}", by=world.desk)
    assert before + 1 == db.all(count)[0]["n"]


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
