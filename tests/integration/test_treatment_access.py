"""Who sees a treatment plan, who does what with it, and what is kept of each look."""

from __future__ import annotations

from tests.service_stack import world_fixture
from tests.treatment_world import World, item, plan, quiet_fixture

world = world_fixture(World)
quiet = quiet_fixture()


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
