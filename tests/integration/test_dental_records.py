"""What dentists find and do stands in the chart, and nothing of it is overwritten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from tests.dental_stack import CARIES, DentalStack
from tests.service_stack import stack_fixture

stack = stack_fixture(DentalStack)


def test_a_problem_stands_in_the_chart(stack: DentalStack) -> None:
    """A diagnosis is found in the chart, in the list and by its id, with what its code says."""
    patient = stack.registered()
    made = stack.send("POST", f"/{patient}/problems", {**CARIES, "note": "deep"})
    assert (201, '"1"') == (made.status_code, made.headers["ETag"])
    problem = made.json or {}
    assert problem == stack.ok("GET", made.headers["Location"].removeprefix("/api/dental-records"))
    assert [problem] == stack.ok("GET", f"/{patient}/problems")["items"]
    chart = stack.chart(patient)
    assert [problem] == chart["problems"]
    assert "Caries of dentine" == problem["title"]
    assert ["M", "O"] == problem["surfaces"]
    assert ("ACTIVE", str(stack.dentist.id)) == (problem["status"], problem["diagnosed_by"])
    assert [("16", [problem["problem_id"]])] == [
        (tooth["tooth"], tooth["problem_ids"]) for tooth in chart["teeth"]
    ]


def test_an_intervention_resolves_its_problems(stack: DentalStack) -> None:
    """A problem that was treated is resolved, until what resolved it turns out to be an error."""
    patient = stack.registered()
    problem = stack.diagnosed(patient)["problem_id"]
    done = stack.performed(patient, problem_ids=[problem], materials=[{"name": "Z", "lot": "L-1"}])
    path = f"/{patient}/problems/{problem}"
    assert "RESOLVED" == stack.ok("GET", path)["status"]
    for status, found in (("RESOLVED", 1), ("ACTIVE", 0)):
        listed = stack.ok("GET", f"/{patient}/problems?status={status}&tooth=16")["items"]
        assert found == len(listed)
    marked = stack.ok(
        "POST",
        f"/{patient}/interventions/{done['intervention_id']}/entered-in-error",
        {"reason": "somebody else's"},
        match=2,
    )
    assert (True, "somebody else's", 3) == (
        marked["entered_in_error"],
        marked["error_reason"],
        marked["version"],
    )
    assert "ACTIVE" == stack.ok("GET", path)["status"]
    assert ["ACTIVE"] == [row["status"] for row in stack.ok("GET", f"/{patient}/problems")["items"]]
    assert [marked] == stack.ok("GET", f"/{patient}/interventions?tooth=16")["items"]
    assert [] == stack.ok("GET", f"/{patient}/interventions?tooth=17")["items"]


def test_a_bridge_is_one_thing(stack: DentalStack) -> None:
    """What joins several teeth is one intervention, which each of its teeth tells of."""
    patient = stack.registered()
    teeth = [
        {"tooth": "15", "role": "ABUTMENT"},
        {"tooth": "16", "role": "PONTIC"},
        {"tooth": "17", "role": "ABUTMENT"},
    ]
    bridge = stack.performed(patient, procedure="BRIDGE", teeth=teeth)["intervention_id"]
    chart = stack.chart(patient)
    assert {"15": [bridge], "16": [bridge], "17": [bridge]} == {
        tooth["tooth"]: tooth["intervention_ids"] for tooth in chart["teeth"]
    }
    for tooth in ("15", "16", "17"):
        history = stack.ok("GET", f"/{patient}/teeth/{tooth}/history")["items"]
        assert [bridge] == [told["intervention"]["intervention_id"] for told in history]


def test_a_correction_leaves_what_was_said(stack: DentalStack) -> None:
    """The chart says what is right, and each tooth's history what was said before, and why not."""
    patient = stack.registered()
    wrong = stack.diagnosed(patient)
    right = {**CARIES, "tooth": "26", "surfaces": ["D"], "reason": "the other side"}
    path = f"/{patient}/problems/{wrong['problem_id']}"
    corrected = stack.ok("PUT", path, right, match=1)
    assert ("26", ["D"], wrong["diagnosed_at"]) == (
        corrected["tooth"],
        corrected["surfaces"],
        corrected["diagnosed_at"],
    )
    for query, found in (("", [corrected]), ("?tooth=26", [corrected]), ("?tooth=16", [])):
        assert found == stack.ok("GET", f"/{patient}/problems{query}")["items"]
    for tooth in ("16", "26"):
        history = stack.ok("GET", f"/{patient}/teeth/{tooth}/history")["items"]
        assert [
            ("diagnosed", "16", None, str(stack.dentist.id)),
            ("corrected", "26", "the other side", str(stack.dentist.id)),
        ] == [
            (told["what"], told["problem"]["tooth"], told["reason"], told["by"]) for told in history
        ]
    assert [] == stack.ok("GET", f"/{patient}/teeth/11/history")["items"]
    assert 404 == stack.send("GET", f"/{patient}/teeth/19/history").status_code


def test_a_corrected_intervention_is_found_by_what_is_right(stack: DentalStack) -> None:
    """Another tooth, lot and problem: lists, recalls and states follow the correction."""
    patient, lots = stack.registered(), [f"L{uuid4()}", f"L{uuid4()}"]
    problems = [stack.diagnosed(patient, tooth=t)["problem_id"] for t in ("16", "17")]

    def said(number: int) -> dict[str, Any]:
        return {
            "procedure": "FILLING",
            "teeth": [{"tooth": ("16", "17")[number], "surfaces": ["O"]}],
            "materials": [{"name": "composite", "lot": lots[number]}],
            "problem_ids": [problems[number]],
        }

    item = str(uuid4())
    wrong = stack.performed(patient, **said(0), treatment_item_id=item)
    path = f"/{patient}/interventions/{wrong['intervention_id']}"
    right = stack.ok("PUT", path, {**said(1), "reason": "the next one"}, match=3)
    assert (item, wrong["performed_at"]) == (right["treatment_item_id"], right["performed_at"])
    assert right == stack.ok("GET", path)
    listed = [
        [len(stack.ok("GET", query)["items"]) for query in queries]
        for queries in (
            [f"/{patient}/interventions?tooth={tooth}" for tooth in ("16", "17")],
            [f"/interventions?lot={lot}" for lot in lots],
            [f"/{patient}/problems?status=RESOLVED&tooth={tooth}" for tooth in ("16", "17")],
        )
    ]
    assert [[0, 1]] * 3 == listed


def test_an_error_stays_visible_and_final(stack: DentalStack) -> None:
    """What was entered in error is shown as such, and neither corrected nor marked again."""
    patient = stack.registered()
    problem = stack.diagnosed(patient)["problem_id"]
    path = f"/{patient}/problems/{problem}"
    marked = stack.ok("POST", f"{path}/entered-in-error", {"reason": "wrong chart"}, match=1)
    assert ("ENTERED_IN_ERROR", "wrong chart") == (marked["status"], marked["error_reason"])
    assert [marked] == stack.chart(patient)["problems"]
    assert [marked] == stack.ok("GET", f"/{patient}/problems")["items"]
    again = stack.send("POST", f"{path}/entered-in-error", {"reason": "again"}, match=2)
    corrected = stack.send("PUT", path, {**CARIES, "reason": "again"}, match=2)
    linked = stack.send(
        "POST",
        f"/{patient}/interventions",
        {
            "procedure": "FILLING",
            "teeth": [{"tooth": "16", "surfaces": ["O"]}],
            "problem_ids": [problem],
        },
    )
    assert (409, 409, 422) == (again.status_code, corrected.status_code, linked.status_code)
    assert "/problem_ids/0" == (linked.json or {})["errors"][0]["pointer"]


def test_the_chart_of_a_time(stack: DentalStack) -> None:
    """A chart of the past is what was so then; what was learned later of that time can be left
    out."""
    patient = stack.registered()
    ago = datetime.now(UTC) - timedelta(days=2)
    before = quote((ago - timedelta(hours=1)).isoformat())
    then = quote((ago + timedelta(hours=1)).isoformat())
    stack.diagnosed(patient, diagnosed_at=ago.isoformat())
    informed = quote(datetime.now(UTC).isoformat())
    stack.performed(patient)
    later = stack.chart(patient, f"?as_of={then}")
    assert (1, 1, 0) == (later["version"], len(later["problems"]), len(later["interventions"]))
    assert 0 == stack.chart(patient, f"?as_of={before}")["version"]
    assert 0 == stack.chart(patient, f"?as_of={then}&known_at={then}")["version"]
    assert 1 == stack.chart(patient, f"?known_at={informed}")["version"]
    assert 2 == stack.chart(patient)["version"]


def test_an_error_is_true_of_no_day(stack: DentalStack) -> None:
    """A chart of the past shows what is known to be wrong as such, and where it was corrected what
    is right; what was held to be so then can be told."""
    patient = stack.registered()
    ago = datetime.now(UTC) - timedelta(days=2)
    then = quote((ago + timedelta(hours=1)).isoformat())
    wrong = stack.diagnosed(patient, diagnosed_at=ago.isoformat())["problem_id"]
    moved = stack.diagnosed(patient, diagnosed_at=ago.isoformat())["problem_id"]
    held = quote(datetime.now(UTC).isoformat())
    path = f"/{patient}/problems"
    stack.ok("POST", f"{path}/{wrong}/entered-in-error", {"reason": "another's"}, match=2)
    stack.ok("PUT", f"{path}/{moved}", {**CARIES, "tooth": "17", "reason": "it was 17"}, match=3)
    known = stack.chart(patient, f"?as_of={then}")["problems"]
    assert [("ENTERED_IN_ERROR", "16"), ("ACTIVE", "17")] == [
        (each["status"], each["tooth"]) for each in known
    ]
    believed = stack.chart(patient, f"?as_of={then}&known_at={held}")["problems"]
    assert [("ACTIVE", "16")] * 2 == [(each["status"], each["tooth"]) for each in believed]


def test_what_contradicts_itself_is_refused(stack: DentalStack) -> None:
    """Impossible teeth, surfaces, codes, groups and times are 422 and say where."""
    patient = stack.registered()
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    problems: list[tuple[dict[str, Any], str]] = [
        ({"tooth": "19"}, "/tooth"),
        ({"tooth": "56"}, "/tooth"),
        ({"tooth": "11", "surfaces": ["O"]}, "/surfaces"),
        ({"surfaces": ["L"]}, "/surfaces"),
        ({"surfaces": ["M", "M"]}, "/surfaces"),
        ({"code": "K99"}, "/code"),
        ({"system": "icd-11"}, "/code"),
        ({"diagnosed_at": tomorrow}, "/diagnosed_at"),
    ]
    for fields, pointer in problems:
        answer = stack.send("POST", f"/{patient}/problems", {**CARIES, **fields})
        assert (422, pointer) == (answer.status_code, (answer.json or {})["errors"][0]["pointer"])
    done: list[tuple[dict[str, Any], str]] = [
        ({"procedure": "FILLING", "teeth": [{"tooth": "16"}]}, "/teeth/0/surfaces"),
        ({"procedure": "SPLINT", "teeth": [{"tooth": "31"}]}, "/teeth"),
        ({"procedure": "SPLINT", "teeth": [{"tooth": "31"}, {"tooth": "11"}]}, "/teeth"),
        ({"procedure": "CROWN", "teeth": [{"tooth": "31"}, {"tooth": "31"}]}, "/teeth"),
        (
            {"procedure": "CROWN", "teeth": [{"tooth": "31", "role": "PONTIC"}]},
            "/teeth/0/role",
        ),
        ({"procedure": "CROWN", "teeth": [{"tooth": "31"}], "code": "D2740"}, "/code"),
        (
            {"procedure": "CROWN", "teeth": [{"tooth": "31"}], "problem_ids": [str(uuid4())]},
            "/problem_ids/0",
        ),
    ]
    for body, pointer in done:
        answer = stack.send("POST", f"/{patient}/interventions", body)
        assert (422, pointer) == (answer.status_code, (answer.json or {})["errors"][0]["pointer"])
    assert 0 == stack.chart(patient)["version"]


def test_others_are_told_once_and_nothing_personal(stack: DentalStack) -> None:
    """Each change is told with the chart's version; a repeated request tells nothing again."""
    patient, item = stack.registered(), uuid4()
    stack.told()
    key = {"Idempotency-Key": str(uuid4())}
    first, again = (
        stack.ok("POST", f"/{patient}/problems", {**CARIES, "note": "painful"}, headers=key)
        for _ in range(2)
    )
    assert first == again
    problem = first["problem_id"]
    done = stack.performed(patient, problem_ids=[problem], treatment_item_id=str(item))
    stack.ok("PUT", f"/{patient}/problems/{problem}", {**CARIES, "reason": "x"}, match=2)
    path = f"/{patient}/interventions/{done['intervention_id']}/entered-in-error"
    stack.ok("POST", path, {"reason": "x"}, match=3)
    told = stack.told()
    assert [
        ("TOOTH_PROBLEM_DIAGNOSED", 1),
        ("TOOTH_INTERVENTION_PERFORMED", 2),
        ("TOOTH_RECORD_CORRECTED", 3),
        ("TOOTH_RECORD_CORRECTED", 4),
    ] == [(env.event_type, env.metadata.aggregate_version) for env in told]
    assert {str(patient)} == {env.metadata.aggregate_id for env in told}
    assert ["16"] == told[1].payload["teeth"]
    assert str(item) == told[1].payload["treatment_item_id"]
    assert [(False, None), (True, str(item))] == [
        (env.payload["entered_in_error"], env.payload["treatment_item_id"]) for env in told[2:]
    ]
    assert not any("painful" in env.to_json() or "K02" in env.to_json() for env in told)


def test_lists_are_paged(stack: DentalStack) -> None:
    """Pages lead from the newest record to the oldest and show each once."""
    patient = stack.registered()
    teeth = ["11", "12", "13", "14", "15"]
    for tooth in teeth:
        stack.diagnosed(patient, tooth=tooth, surfaces=["M"])
        stack.performed(patient, teeth=[{"tooth": tooth, "surfaces": ["M"]}])
    for kind in ("problems", "interventions"):
        seen, query = list[str](), "?limit=2"
        while query:
            page = stack.ok("GET", f"/{patient}/{kind}{query}")
            seen += [row.get("tooth") or row["teeth"][0]["tooth"] for row in page["items"]]
            query = page["next_cursor"] and f"?limit=2&cursor={page['next_cursor']}"
        assert teeth[::-1] == seen
    history, cursor = [], ""
    for _ in range(2):
        page = stack.ok("GET", f"/{patient}/teeth/11/history?limit=1{cursor}")
        history += [told["what"] for told in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert ["diagnosed", "performed"] == history


def test_a_recall_finds_whom_it_concerns(stack: DentalStack) -> None:
    """All patients in whose mouths a lot is are found, however it is written, and nobody else."""
    lot, patients = f"AB {uuid4()}", [stack.registered() for _ in range(3)]
    for patient, used in zip(patients, (lot, lot.lower().replace(" ", ""), "other"), strict=True):
        stack.performed(patient, materials=[{"name": "implant", "lot": used}])
    found = stack.ok("GET", f"/interventions?lot={quote(lot)}&limit=1")
    rest = stack.ok("GET", f"/interventions?lot={quote(lot)}&cursor={found['next_cursor']}")
    assert [str(patients[1]), str(patients[0])] == [
        row["patient_id"] for row in found["items"] + rest["items"]
    ]
