"""What patients decide about a plan: each version on its own, in the app or on paper."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.service_stack import world_fixture
from tests.treatment_world import World, item, quiet_fixture, revised

world = world_fixture(World)
quiet = quiet_fixture()


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
