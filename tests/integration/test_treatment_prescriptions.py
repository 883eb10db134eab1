"""Prescriptions over HTTP: checked against allergies, never changed, cancelled with a reason."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.wire import SqlError
from tests.service_stack import world_fixture
from tests.treatment_world import World

PENICILLIN = {"code": "J01C", "name": "Penicillin", "criticality": "high"}
LATEX = {"name": "Latex"}

world = world_fixture(World)


@pytest.fixture
def patient(world: World, request: pytest.FixtureRequest) -> tuple[str, str]:
    """The token and the id of a patient whom nobody has asked; nothing sent so far."""
    found = world.patient(f"p{abs(hash(request.node.nodeid))}")
    world.sent()
    return found


def asked(world: World, patient_id: str, status: str, *listed: dict[str, Any]) -> list[str]:
    """The dentist asks; the ids of what is listed, when treatment has heard of it."""
    made = world.allergies(status, *listed, patient_id=patient_id)
    world.platform.drain()
    return [one["allergy_id"] for one in made["allergies"]]


def audit(world: World, patient_id: str) -> list[tuple[str, str]]:
    """What treatment's audit log says of the person, in order."""
    rows = world.platform.databases["treatment"].all(
        "select action, what from audit_log where person_id = :id order by id", id=UUID(patient_id)
    )
    return [(row["action"], row["what"]) for row in rows]


def test_a_prescription_is_issued(world: World, patient: tuple[str, str]) -> None:
    """What nothing speaks against is issued: its patient reads it and is told."""
    token, patient_id = patient
    asked(world, patient_id, "NONE_KNOWN")
    plan = world.offer(patient_id=patient_id)["treatment_id"]
    world.sent()
    made = world.prescribe(
        patient_id,
        treatment_id=plan,
        dose={"value": "7.5", "unit": "ml"},
        timing={"frequency": 1, "period": 8, "unit": "h", "as_needed": True},
        repeats=2,
        notes="after meals",
    )
    shown = world.json(made)
    assert (201, "ISSUED", "7.5", 2, None) == (
        made.status_code,
        shown["status"],
        shown["dose"]["value"],
        shown["repeats"],
        shown["override"],
    )
    path = f"/prescriptions/{shown['prescription_id']}"
    assert f"/api/treatments{path}" == made.headers["Location"]
    assert shown == world.json(world.treat("GET", path, by=token))
    page = world.json(world.treat("GET", f"/prescriptions?patient_id={patient_id}", by=token))
    assert [shown] == page["items"]
    assert ["PRESCRIPTION_ISSUED"] == world.sent()
    (row,) = world.platform.databases["treatment"].all(
        "select content from prescriptions where prescription_id = :id", id=shown["prescription_id"]
    )
    assert b"Amoxicillin" not in row["content"]


def test_an_allergy_stops_it(world: World, patient: tuple[str, str]) -> None:
    """What somebody is allergic to is not prescribed: the refusal names each allergy, by which
    rule, and that the dentist was shown them stays on record."""
    _, patient_id = patient
    penicillin, _ = asked(world, patient_id, "LISTED", PENICILLIN, LATEX)
    refused = world.prescribe(patient_id)
    problem = world.json(refused)
    assert (409, "urn:dentalhelp:problem:allergy-conflict") == (
        refused.status_code,
        problem["type"],
    )
    assert [
        {
            "allergy_id": penicillin,
            "substance": "Penicillin",
            "code": "J01C",
            "criticality": "high",
            "verification": "unconfirmed",
            "basis": "code",
            "group": None,
        }
    ] == problem["conflicts"]
    assert [("read", "allergies")] == audit(world, patient_id)
    assert [] == world.sent()


def test_nobody_has_asked(world: World, patient: tuple[str, str]) -> None:
    """That nothing is listed is no reason to prescribe, unless somebody has asked."""
    _, patient_id = patient
    refused = world.prescribe(patient_id)
    assert (409, "Allergies unknown") == (refused.status_code, world.json(refused)["title"])
    override = {"reason": "unconscious, life-threatening infection"}
    made = world.prescribe(patient_id, override=override)
    expected = {"reason": override["reason"], "substances": []}
    assert (201, expected) == (made.status_code, world.json(made)["override"])


def test_a_dentist_overrides_with_a_reason(world: World, patient: tuple[str, str]) -> None:
    """An override names the allergies and says why; both are kept, sealed, and audited."""
    _, patient_id = patient
    (allergy,) = asked(world, patient_id, "LISTED", PENICILLIN)
    for wrong in ({"allergy_ids": [allergy]}, {"reason": "  ", "allergy_ids": [allergy]}):
        assert 422 == world.prescribe(patient_id, override=wrong).status_code
    override = {"reason": "tested negative in 2025", "allergy_ids": [allergy]}
    made = world.prescribe(patient_id, override=override)
    shown = world.json(made)
    expected = {"reason": "tested negative in 2025", "substances": ["Penicillin"]}
    assert (201, expected) == (made.status_code, shown["override"])
    assert ("create", "prescription, allergies overridden") in audit(world, patient_id)
    (row,) = world.platform.databases["treatment"].all(
        "select override from prescriptions where prescription_id = :id",
        id=shown["prescription_id"],
    )
    assert b"tested" not in row["override"]


def test_an_override_covers_what_was_seen(world: World, patient: tuple[str, str]) -> None:
    """An allergy that came since the dentist looked stops it again, with all of them named."""
    _, patient_id = patient
    (seen,) = asked(world, patient_id, "LISTED", PENICILLIN)
    override = {"reason": "tested negative", "allergy_ids": [seen]}
    old = {**PENICILLIN, "allergy_id": seen}
    asked(world, patient_id, "LISTED", old, {"name": "amoxicillin"})
    refused = world.prescribe(patient_id, override=override)
    assert (409, 2) == (refused.status_code, len(world.json(refused)["conflicts"]))
    asked(world, patient_id, "UNKNOWN")
    asked(world, patient_id, "LISTED", {"name": "amoxicillin"})
    blank = {"reason": "nobody has asked", "allergy_ids": []}
    assert 409 == world.prescribe(patient_id, override=blank).status_code


def test_an_override_of_nothing_is_none(world: World, patient: tuple[str, str]) -> None:
    """Where nothing speaks against it, nothing is overridden, whatever the request says."""
    _, patient_id = patient
    asked(world, patient_id, "LISTED", {**PENICILLIN, "verification": "refuted"})
    made = world.prescribe(patient_id, override={"reason": "just in case"})
    assert (201, None) == (made.status_code, world.json(made)["override"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"drug": {"name": " "}},
        {"drug": {"name": "Amoxicillin", "code": "X99"}},
        {"dose": {"value": "0", "unit": "ml"}},
        {"dose": {"value": "1.2345", "unit": "ml"}},
        {"timing": {"frequency": 0}},
        {"timing": {"frequency": 1, "unit": "year"}},
        {"duration": {"value": 0}},
        {"route": "somehow"},
        {"repeats": -1},
        {"status": "CANCELLED"},
    ],
)
def test_what_makes_no_sense_is_refused(world: World, wrong: dict[str, Any]) -> None:
    """A prescription says what, how much, how often and for how long."""
    assert 422 == world.prescribe(**wrong).status_code


def test_it_never_changes(world: World, patient: tuple[str, str]) -> None:
    """No route changes a prescription, and the database refuses to, whoever asks."""
    _, patient_id = patient
    asked(world, patient_id, "NONE_KNOWN")
    identity = world.json(world.prescribe(patient_id))["prescription_id"]
    assert 405 == world.treat("PUT", f"/prescriptions/{identity}", {}).status_code
    db = world.platform.databases["treatment"]
    with pytest.raises(SqlError):
        db.all("update prescriptions set content = 'x' where prescription_id = :id", id=identity)


def test_it_is_cancelled_with_a_reason(world: World, patient: tuple[str, str]) -> None:
    """A dentist of the clinic takes it back, once; it stays on record with who and why."""
    token, patient_id = patient
    asked(world, patient_id, "NONE_KNOWN")
    shown = world.json(world.prescribe(patient_id))
    path = f"/prescriptions/{shown['prescription_id']}"
    away = world.staff(f"away{patient_id}", "DENTIST", world.new_clinic("Elsewhere"))
    why = {"reason": "wrong strength"}
    assert 403 == world.treat("POST", f"{path}/cancel", why, by=away).status_code
    assert 403 == world.treat("POST", f"{path}/cancel", why, by=token).status_code
    assert 422 == world.treat("POST", f"{path}/cancel", {"reason": ""}).status_code
    done = world.treat("POST", f"{path}/cancel", why)
    assert (200, '"2"') == (done.status_code, done.headers["ETag"])
    assert 409 == world.treat("POST", f"{path}/cancel", why).status_code
    now = world.json(world.treat("GET", path, by=token))
    assert ("CANCELLED", "wrong strength") == (now["status"], now["cancel_reason"])
    changed = {"status", "cancelled_at", "cancelled_by", "cancel_reason"}
    assert {k: v for k, v in shown.items() if k not in changed} == {
        k: v for k, v in now.items() if k not in changed
    }
    printed = world.json(world.treat("GET", f"{path}/print", by=token))
    assert "CANCELLED" == printed["status"]
    listed = world.treat("GET", f"/prescriptions?patient_id={patient_id}&status=ISSUED")
    assert [] == world.json(listed)["items"]


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "1 capsule, 3 times every day, for 7 days"),
        ("ro", "1 capsule, de 3 ori pe zi, timp de 7 zile"),
        ("id", "1 capsule, 3 kali per hari, selama 7 hari"),
    ],
)
def test_it_is_printed(world: World, patient: tuple[str, str], language: str, said: str) -> None:
    """What is printed says how to take it in the language that is asked for."""
    _, patient_id = patient
    asked(world, patient_id, "NONE_KNOWN")
    identity = world.json(world.prescribe(patient_id))["prescription_id"]
    printed = world.json(world.treat("GET", f"/prescriptions/{identity}/print?language={language}"))
    assert (said, "500 mg") == (printed["directions"], printed["strength"])


def test_who_sees_it(world: World, patient: tuple[str, str]) -> None:
    """Prescriptions are their patient's and the dentists'; others do not learn that one exists."""
    token, patient_id = patient
    asked(world, patient_id, "NONE_KNOWN")
    path = f"/prescriptions/{world.json(world.prescribe(patient_id))['prescription_id']}"
    seen = [world.treat("GET", path, by=by).status_code for by in (token, world.desk, world.ana)]
    assert [200, 404, 404] == seen
    printed = [world.treat("GET", f"{path}/print", by=by).status_code for by in (token, world.desk)]
    assert [200, 404] == printed
    lists = f"/prescriptions?patient_id={patient_id}"
    assert [403, 403] == [
        world.treat("GET", lists, by=by).status_code for by in (world.desk, world.ana)
    ]
    elsewhere = world.new_clinic("There")
    assert 403 == world.prescribe(patient_id, clinic_id=elsewhere).status_code
    assert (
        403
        == world.treat("POST", "/prescriptions", world.prescription(), by=world.desk).status_code
    )


def test_it_belongs_to_the_patient_s_plan(world: World, patient: tuple[str, str]) -> None:
    """A prescription is not hung on somebody else's plan, nor issued to nobody."""
    _, patient_id = patient
    asked(world, patient_id, "NONE_KNOWN")
    others = world.offer()["treatment_id"]
    assert 404 == world.prescribe(patient_id, treatment_id=others).status_code
    assert 404 == world.prescribe(str(uuid4())).status_code


def test_a_list_is_paged(world: World, patient: tuple[str, str]) -> None:
    """Newest first, page by page."""
    token, patient_id = patient
    asked(world, patient_id, "NONE_KNOWN")
    made = [world.json(world.prescribe(patient_id))["prescription_id"] for _ in range(3)]
    path = f"/prescriptions?patient_id={patient_id}&limit=2"
    first = world.json(world.treat("GET", path, by=token))
    second = world.json(world.treat("GET", f"{path}&cursor={first['next_cursor']}", by=token))
    found = [one["prescription_id"] for one in first["items"] + second["items"]]
    assert (made[::-1], None) == (found, second["next_cursor"])


def test_a_refused_request_leaves_its_look_on_record(
    world: World, patient: tuple[str, str]
) -> None:
    """With an Idempotency-Key, too: what was refused is audited, and may be asked again."""
    _, patient_id = patient
    (allergy,) = asked(world, patient_id, "LISTED", PENICILLIN)
    key = {"Idempotency-Key": str(uuid4())}
    path = "/api/treatments/prescriptions"

    def send(body: dict[str, Any]) -> int:
        return world.platform.call("POST", path, body, token=world.dentist, headers=key).status_code

    assert 409 == send(world.prescription(patient_id))
    assert [("read", "allergies")] == audit(world, patient_id)
    waived = world.prescription(patient_id, override={"reason": "tested", "allergy_ids": [allergy]})
    assert [201, 201] == [send(waived) for _ in range(2)]
    listed = world.treat("GET", f"/prescriptions?patient_id={patient_id}")
    assert 1 == len(world.json(listed)["items"])
