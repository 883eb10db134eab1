"""The routes under /api/patients, on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from shared.contracts.patient import NationalIdCorrected
from shared.identity import Caller
from shared.types import uuid7
from shared.wire import Answer, Statement, Wire
from tests.patient_stack import CNPS, NIK, PatientStack, person
from tests.service_stack import stack_fixture

TOLD = {
    "allergies": "latex",
    "chronic_conditions": "diabetes",
    "medications": "insulin",
    "notes": "ține mult la ora fixă",
}

stack = stack_fixture(PatientStack)


@pytest.fixture
def patient(stack: PatientStack) -> UUID:
    """A patient with an anamnesis; nothing sent so far."""
    patient_id = stack.register(anamnesis=TOLD)
    stack.types()
    return patient_id


def change(
    stack: PatientStack, patient_id: UUID, body: Any, *, by: Caller | None = None, match: int = 1
) -> tuple[int, dict[str, Any]]:
    """PATCH the profile, by reception unless somebody else is named."""
    answer = stack.send(
        "PATCH", f"/{patient_id}", body, by=by or person("RECEPTIONIST"), match=match
    )
    found: dict[str, Any] = answer.get_json()
    return answer.status_code, found


def test_openapi(stack: PatientStack) -> None:
    """The service describes all its routes."""
    document = stack.send("GET", "/-/openapi.json").get_json()
    assert {
        "/api/patients/search",
        "/api/patients/{patient_id}",
        "/api/patients/{patient_id}/anamnesis",
    } <= document["paths"].keys()


@pytest.mark.parametrize(
    ("role", "seen"), [("RECEPTIONIST", False), ("ADMIN", False), ("DENTIST", True)]
)
def test_anamnesis_is_for_who_treats(
    stack: PatientStack, patient: UUID, role: str, seen: bool
) -> None:
    """All staff see a profile, dentists the anamnesis in it; its own route refuses the others."""
    shown = stack.send("GET", f"/{patient}", by=person(role))
    assert (200, TOLD if seen else None) == (shown.status_code, shown.get_json()["anamnesis"])
    told = stack.send("GET", f"/{patient}/anamnesis", by=person(role))
    assert (200 if seen else 403) == told.status_code
    put = stack.send("PUT", f"/{patient}/anamnesis", TOLD, by=person(role), match=1)
    assert (200 if seen else 403) == put.status_code


def test_patients_see_their_own_only(stack: PatientStack, patient: UUID) -> None:
    """A patient sees their own record whole and nobody else's; nobody sees any without a token."""
    own = stack.send("GET", f"/{patient}", by=person("PATIENT", patient))
    assert (200, TOLD, '"1"') == (own.status_code, own.get_json()["anamnesis"], own.headers["ETag"])
    stranger = person("PATIENT")
    for method, path in (
        ("GET", f"/{patient}"),
        ("GET", f"/{patient}/anamnesis"),
        ("PATCH", f"/{patient}"),
        ("PUT", f"/{patient}/anamnesis"),
        ("POST", "/search"),
    ):
        body: Any = None if method == "GET" else {}
        assert 403 == stack.send(method, path, body, by=stranger, match=1).status_code
        assert 401 == stack.send(method, path, body, match=1).status_code


def test_unknown_patient(stack: PatientStack) -> None:
    """There is nothing to see or change of somebody unknown."""
    nobody = uuid7()
    dentist = person("DENTIST")
    for method, path, body in (
        ("GET", f"/{nobody}", None),
        ("GET", f"/{nobody}/anamnesis", None),
        ("PATCH", f"/{nobody}", {"phone": None}),
        ("PUT", f"/{nobody}/anamnesis", {}),
    ):
        assert 404 == stack.send(method, path, body, by=dentist, match=1).status_code


def test_get_is_one_round_trip(
    stack: PatientStack, patient: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a patient takes one exchange with the database, keys included."""
    stack.send("GET", f"/{patient}", by=person("DENTIST"))
    exchanges: list[int] = []
    exchange = Wire.exchange

    def counted(wire: Wire, *statements: Statement) -> list[Answer]:
        exchanges.append(len(statements))
        return exchange(wire, *statements)

    monkeypatch.setattr(Wire, "exchange", counted)
    answer = stack.send("GET", f"/{patient}", by=person("DENTIST"))
    assert (200, [1]) == (answer.status_code, exchanges)


def test_not_modified(stack: PatientStack, patient: UUID) -> None:
    """Who knows this version already is told so."""
    by = person("DENTIST")
    token = f"Bearer {by.id}-DENTIST"
    stack.callers[token] = by
    headers = {"Authorization": token, "If-None-Match": '"1"'}
    answer = stack.app.test_client().get(f"/api/patients/{patient}", headers=headers)
    assert 304 == answer.status_code


def test_change(stack: PatientStack, patient: UUID) -> None:
    """Fields that are sent change, null clears, and the event names those that differ."""
    status, found = change(
        stack,
        patient,
        {"first_name": "Ana", "last_name": "Ionescu", "phone": "+40721234567"},
    )
    assert (200, "Ionescu", "+40721234567") == (status, found["last_name"], found["phone"])
    sent = stack.sent[-1]
    assert ("PATIENT_UPDATED", 2, ["last_name", "phone"]) == (
        sent.event_type,
        sent.metadata.aggregate_version,
        sent.payload["fields"],
    )
    assert "Ionescu" not in sent.to_json()
    shown = stack.send("GET", f"/{patient}", by=person("RECEPTIONIST"))
    assert (found, '"2"') == (shown.get_json(), shown.headers["ETag"])
    status, found = change(stack, patient, {"phone": None, "birth_date": "2001-02-03"}, match=2)
    assert (200, None, "2001-02-03") == (status, found["phone"], found["birth_date"])


def test_change_of_nothing(stack: PatientStack, patient: UUID) -> None:
    """A change to what is so already makes no version and no event; a stale one is still told."""
    assert 200 == change(stack, patient, {"first_name": "Ana"})[0]
    assert 200 == change(stack, patient, {})[0]
    assert [] == stack.types()
    assert 412 == change(stack, patient, {}, match=2)[0]


@pytest.mark.parametrize(
    "body",
    [
        {"email": "new@example.com"},
        {"first_name": None},
        {"language": "fr"},
        {"language": None},
        {"national_id": "2950101123456"},
        {"phone": "call me"},
        {"version": 7},
    ],
)
def test_change_refused(stack: PatientStack, patient: UUID, body: dict[str, Any]) -> None:
    """What is not a patient's field, or not acceptable in it, is a 422 that points at it."""
    status, problem = change(stack, patient, body)
    assert 422 == status
    assert [f"/{next(iter(body))}"] == [error["pointer"] for error in problem["errors"]]


def test_preconditions(stack: PatientStack, patient: UUID) -> None:
    """Without If-Match 428, with another version 412, on both resources."""
    for method, path in (("PATCH", f"/{patient}"), ("PUT", f"/{patient}/anamnesis")):
        by = person("DENTIST")
        body = {"notes": "x"} if method == "PUT" else {"phone": None}
        assert 428 == stack.send(method, path, body, by=by).status_code
        assert 412 == stack.send(method, path, body, by=by, match=9).status_code


def test_national_id_correction(stack: PatientStack, patient: UUID) -> None:
    """Reception corrects a national id and auth hears the new one; nobody else may."""
    for by in (person("DENTIST"), person("PATIENT", patient)):
        assert 403 == change(stack, patient, {"national_id": NIK}, by=by)[0]
    assert [] == stack.types()
    status, found = change(stack, patient, {"national_id": NIK})
    assert (200, NIK) == (status, found["national_id"])
    assert ["PATIENT_UPDATED", "NATIONAL_ID_CORRECTED"] == [e.event_type for e in stack.sent]
    assert {"patient_id": str(patient), "national_id": NIK} == stack.sent[-1].payload
    assert {"national_id"} == NationalIdCorrected.personal_fields()
    other = stack.register(national_id=CNPS[0])
    status, problem = change(stack, other, {"national_id": NIK}, by=person("ADMIN"))
    assert (409, "urn:dentalhelp:problem:national-id-taken") == (status, problem["type"])
    assert 200 == change(stack, patient, {"national_id": None}, match=2)[0]
    assert 200 == change(stack, other, {"national_id": NIK})[0]


def test_replace_anamnesis(stack: PatientStack, patient: UUID) -> None:
    """PUT replaces the whole text; the event does not hold it, the database not in clear."""
    own = person("PATIENT", patient)
    put = stack.send("PUT", f"/{patient}/anamnesis", {"notes": "secret-xyz"}, by=own, match=1)
    expected = {
        "allergies": None,
        "chronic_conditions": None,
        "medications": None,
        "notes": "secret-xyz",
    }
    assert (200, expected, '"2"') == (put.status_code, put.get_json(), put.headers["ETag"])
    shown = stack.send("GET", f"/{patient}/anamnesis", by=person("DENTIST"))
    assert (expected, '"2"') == (shown.get_json(), shown.headers["ETag"])
    assert ["ANAMNESIS_UPDATED"] == [env.event_type for env in stack.sent]
    assert "secret-xyz" not in stack.sent[0].to_json()
    row = stack.rows("select * from patient_anamnesis where patient_id = :id", id=patient)[0]
    assert b"secret-xyz" not in row["notes"]
    long = stack.send("PUT", f"/{patient}/anamnesis", {"notes": "x" * 10_001}, by=own, match=2)
    assert 422 == long.status_code


def test_one_of_many_changes_wins(stack: PatientStack, patient: UUID) -> None:
    """Of simultaneous changes of one version exactly one is made; the others are stale."""
    for version in range(1, 11):
        statuses = race(
            stack,
            [
                lambda n=n, v=version: change(  # type: ignore[misc]
                    stack, patient, {"phone": f"+4072100{v:02}{n:02}"}, match=v
                )[0]
                for n in range(4)
            ],
        )
        assert [200, 412, 412, 412] == sorted(statuses)
    assert ["PATIENT_UPDATED"] * 10 == stack.types()


def test_profile_and_anamnesis_share_a_version(stack: PatientStack, patient: UUID) -> None:
    """A change of the one makes a simultaneous change of the other stale."""
    dentist = person("DENTIST")
    statuses = race(
        stack,
        [
            lambda: change(stack, patient, {"phone": "+40721000000"})[0],
            lambda: (
                stack.send(
                    "PUT", f"/{patient}/anamnesis", {"notes": "n"}, by=dentist, match=1
                ).status_code
            ),
        ],
    )
    assert [200, 412] == sorted(statuses)


def race(stack: PatientStack, calls: list[Callable[[], int]]) -> list[int]:
    """What each call returns, all made at once."""
    start = threading.Barrier(len(calls))
    statuses: list[int] = []

    def run(call: Callable[[], int]) -> None:
        start.wait()
        statuses.append(call())
        stack.db.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses
