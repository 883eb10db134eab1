"""What the patient service writes into the audit log, and who may look at it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from shared.clocks import clock
from shared.contracts.gdpr import GdprDataDeletion
from shared.contracts.patient import RemovePatient
from shared.identity import Caller
from shared.messages import envelope
from shared.types import uuid7
from tests.patient_stack import CNPS, PatientStack, person
from tests.service_stack import stack_fixture

_ADMIN = Caller("person", uuid7(), frozenset({"ADMIN"}), {"*": frozenset({"ADMIN"})})

stack = stack_fixture(PatientStack)


def log(stack: PatientStack, patient_id: UUID) -> list[tuple[str, str, str]]:
    """Action, what and purpose of everything in the log about a patient, oldest first."""
    rows = stack.rows(
        "select action, what, purpose from audit_log where person_id = :id order by id",
        id=patient_id,
    )
    return [(row["action"], row["what"], row["purpose"]) for row in rows]


def shown(
    stack: PatientStack, patient_id: UUID, *, by: Caller = _ADMIN, query: str = ""
) -> dict[str, Any]:
    """A page of the access log."""
    answer = stack.send("GET", f"/{patient_id}/access-log{query}", by=by)
    assert 200 == answer.status_code
    found: dict[str, Any] = answer.get_json()
    return found


def test_every_access_is_in_the_log(stack: PatientStack) -> None:
    """Each route that shows or changes a record leaves the rows that say so."""
    patient = stack.register()
    me, desk, dentist = person("PATIENT", patient), person("RECEPTIONIST"), person("DENTIST")
    assert [("create", "profile", "HOPERAT")] == log(stack, patient)
    for method, path, by, body, match, expected in (
        ("GET", "", me, None, None, [("read", "profile, anamnesis", "PATRQT")]),
        ("GET", "", desk, None, None, [("read", "profile", "HOPERAT")]),
        ("GET", "", dentist, None, None, [("read", "profile, anamnesis", "TREAT")]),
        ("GET", "/anamnesis", dentist, None, None, [("read", "anamnesis", "TREAT")]),
        ("PUT", "/anamnesis", dentist, {"notes": "x"}, 1, [("write", "anamnesis", "TREAT")]),
        (
            *("PATCH", "", desk, {"first_name": "Anca"}, 2),
            [("read", "profile", "HOPERAT"), ("write", "profile", "HOPERAT")],
        ),
        # Nothing changes, but the answer shows the profile.
        ("PATCH", "", desk, {"first_name": "Anca"}, 3, [("read", "profile", "HOPERAT")]),
    ):
        before = log(stack, patient)
        answer = stack.send(method, f"/{patient}{path}", body, by=by, match=match)
        assert 200 == answer.status_code
        assert expected == log(stack, patient)[len(before) :]
    stack.email(patient, "new@example.com", 2)
    assert ("write", "email", "HOPERAT") == log(stack, patient)[-1]


@pytest.mark.parametrize(
    ("method", "body", "match", "status"),
    [
        ("PUT", {"notes": "x"}, 1, 403),
        ("PATCH", {"first_name": "Eva"}, 7, 412),
        ("PATCH", {"first_name": ""}, 1, 422),
        ("PATCH", {"national_id": CNPS[0]}, 1, 409),
    ],
)
def test_what_is_refused_leaves_no_row(
    stack: PatientStack, method: str, body: Any, match: int, status: int
) -> None:
    """Who saw nothing and changed nothing is not in the log."""
    if status == 409:
        stack.register(national_id=CNPS[0])
    patient = stack.register()
    before = log(stack, patient)
    path = f"/{patient}/anamnesis" if method == "PUT" else f"/{patient}"
    answer = stack.send(method, path, body, by=person("RECEPTIONIST"), match=match)
    assert status == answer.status_code
    assert before == log(stack, patient)


def test_a_search_is_in_the_log_of_everybody_it_shows(stack: PatientStack) -> None:
    """One row per patient on the page; none for the one that tells of a further page."""
    people = [stack.register(last_name="Zwetschge", email=f"z{n}@example.com") for n in range(3)]
    desk = person("RECEPTIONIST")
    body: dict[str, Any] = {"query": "zwetschge", "limit": 2}
    page = stack.send("POST", "/search", body, by=desk).get_json()
    seen = [UUID(item["patient_id"]) for item in page["items"]]
    expected = [("create", "profile", "HOPERAT"), ("search", "profile", "HOPERAT")]
    assert [expected[: 2 if p in seen else 1] for p in people] == [log(stack, p) for p in people]
    rest = stack.send("POST", "/search", {**body, "cursor": page["next_cursor"]}, by=desk)
    assert [expected] * 3 == [log(stack, p) for p in people]
    assert 1 == len(rest.get_json()["items"])
    stack.send("POST", "/search", {"email": "z1@example.com", "limit": 1}, by=desk)
    assert [2, 3, 2] == [len(log(stack, p)) for p in people]


def test_the_purpose_can_be_given(stack: PatientStack) -> None:
    """X-Purpose-Of-Use says what for; a code nobody knows is refused and nothing is shown."""
    patient, admin = stack.register(), person("ADMIN")
    stack.callers["x"] = admin
    client = stack.app.test_client()
    for code, status in (("HLEGAL", 200), ("CURIOSITY", 422)):
        headers = {"Authorization": "x", "X-Purpose-Of-Use": code}
        assert status == client.get(f"/api/patients/{patient}", headers=headers).status_code
    assert [("read", "profile", "HLEGAL")] == log(stack, patient)[1:]


def test_the_patient_sees_who_was_there(stack: PatientStack) -> None:
    """Newest first, with who it was and what for; looking at it is an access, too."""
    patient = stack.register()
    me, dentist = person("PATIENT", patient), person("DENTIST")
    stack.send("GET", f"/{patient}", by=dentist)
    shown(stack, patient, by=me)
    items = shown(stack, patient, by=me)["items"]
    assert all(item.pop("at") for item in items)
    assert [
        {
            "action": "read",
            "what": "access log",
            "purpose": "PATRQT",
            "actor": {
                "kind": "person",
                "id": str(patient),
                "roles": ["PATIENT"],
                "self": True,
                "service": None,
            },
        },
        {
            "action": "read",
            "what": "profile, anamnesis",
            "purpose": "TREAT",
            "actor": {
                "kind": "person",
                "id": str(dentist.id),
                "roles": ["DENTIST"],
                "self": False,
                "service": None,
            },
        },
        {
            "action": "create",
            "what": "profile",
            "purpose": "HOPERAT",
            "actor": {
                "kind": "service",
                "id": None,
                "roles": [],
                "self": False,
                "service": "auth",
            },
        },
    ] == items


def test_the_log_comes_in_pages(stack: PatientStack) -> None:
    """The pages together are the whole log, without what was added while paging."""
    patient = stack.register()
    for _ in range(4):
        stack.send("GET", f"/{patient}", by=person("RECEPTIONIST"))
    found: list[str] = []
    query = "?limit=2"
    while True:
        page = shown(stack, patient, query=query)
        found += [item["what"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query = f"?limit=2&cursor={page['next_cursor']}"
    assert ["profile"] * 5 == found
    assert 400 == stack.send("GET", f"/{patient}/access-log?cursor=AAAA", by=_ADMIN).status_code


def test_the_log_outlives_the_patient(stack: PatientStack) -> None:
    """Its rows stay when the person's data is gone, and an ADMIN of the group sees them."""
    patient = stack.register()
    stack.command(RemovePatient(patient_id=patient))
    actions = [item["action"] for item in shown(stack, patient)["items"]]
    assert ["erase", "create"] == actions


def test_the_log_outlives_an_erasure(stack: PatientStack) -> None:
    """An erased person's log says that everything was erased, and who had seen it."""
    patient = stack.register()
    stack.send("GET", f"/{patient}", by=person("DENTIST"))
    event = GdprDataDeletion(
        patient_id=patient,
        erasure_id=uuid7(),
        reason="USER_REQUEST_ARTICLE_17",
        requested_at=clock().now(),
    )
    assert "handled" == stack.deliver(envelope(event, source="auth"), topic="gdpr")
    assert 404 == stack.send("GET", f"/{patient}", by=_ADMIN).status_code
    found = [(item["action"], item["what"]) for item in shown(stack, patient)["items"]]
    assert [
        ("erase", "everything"),
        ("read", "profile, anamnesis"),
        ("create", "profile"),
    ] == found
