"""The list of a patient's allergies: who sees and changes it, its history, and what others hear."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from shared.contracts.patient import AllergiesUpdated
from shared.identity import Caller
from tests.patient_history import erased, shown, whats
from tests.patient_stack import PatientStack, person
from tests.service_stack import stack_fixture

PENICILLIN = {"code": "j01c ", "name": " Penicillin", "criticality": "high"}
TREATMENT = Caller("service", service="treatment")

stack = stack_fixture(PatientStack)


@pytest.fixture
def patient(stack: PatientStack) -> UUID:
    """A patient whom nobody has asked; nothing sent so far."""
    patient_id = stack.register()
    stack.types()
    return patient_id


def write(
    stack: PatientStack,
    patient_id: UUID,
    status: str,
    *listed: dict[str, Any],
    match: int = 1,
    by: Caller | None = None,
) -> Any:
    """PUT the list, by a dentist unless somebody else is named."""
    body = {"status": status, "allergies": list(listed)}
    dentist = by or person("DENTIST")
    return stack.send("PUT", f"/{patient_id}/allergies", body, by=dentist, match=match)


def read(stack: PatientStack, patient_id: UUID, by: Caller | None = None) -> Any:
    """GET the list."""
    return stack.send("GET", f"/{patient_id}/allergies", by=by or person("DENTIST"))


def test_nobody_has_asked_at_first(stack: PatientStack, patient: UUID) -> None:
    """Without a list the status is UNKNOWN, which is not the same as having no allergy."""
    assert {"status": "UNKNOWN", "allergies": []} == read(stack, patient).get_json()
    assert 200 == write(stack, patient, "NONE_KNOWN").status_code
    now = read(stack, patient)
    assert ({"status": "NONE_KNOWN", "allergies": []}, '"2"') == (
        now.get_json(),
        now.headers["ETag"],
    )


def test_a_list_is_kept_sealed_and_told(stack: PatientStack, patient: UUID) -> None:
    """A line gets an id and a normal code; treatment hears of it, and the table tells nothing."""
    made = write(stack, patient, "LISTED", {**PENICILLIN, "reaction": "urticaria"}).get_json()
    (line,) = made["allergies"]
    assert ("J01C", "Penicillin", "unconfirmed", "urticaria") == (
        line["code"],
        line["name"],
        line["verification"],
        line["reaction"],
    )
    assert made == read(stack, patient).get_json()
    (env,) = stack.sent
    event = AllergiesUpdated.model_validate(env.payload)
    assert ("LISTED", 2) == (event.status, env.metadata.aggregate_version)
    assert line["allergy_id"] == str(event.allergies[0].allergy_id)
    assert "urticaria" not in env.to_json()
    (row,) = stack.rows("select * from patient_allergies where patient_id = :id", id=patient)
    assert not any(
        b'"J01C"' in row[name] or b"Penicillin" in row[name] or b"LISTED" in row[name]
        for name in row.keys() - {"patient_id"}
    )


def test_a_line_keeps_its_id(stack: PatientStack, patient: UUID) -> None:
    """A line that is sent with its id is the same line, whatever else is replaced."""
    (line,) = write(stack, patient, "LISTED", PENICILLIN).get_json()["allergies"]
    confirmed = {**line, "verification": "confirmed"}
    made = write(stack, patient, "LISTED", confirmed, {"name": "Latex"}, match=2).get_json()
    assert [line["allergy_id"], "confirmed"] == [
        made["allergies"][0]["allergy_id"],
        made["allergies"][0]["verification"],
    ]
    assert made["allergies"][1]["allergy_id"] != line["allergy_id"]


@pytest.mark.parametrize(
    ("status", "listed"),
    [
        ("LISTED", []),
        ("NONE_KNOWN", [PENICILLIN]),
        ("LISTED", [{"criticality": "high"}]),
        ("LISTED", [{"code": "penicillin"}]),
        ("LISTED", [{"code": "J"}]),
        ("LISTED", [{"name": "Latex", "criticality": "huge"}]),
        ("LISTED", [{"name": "x", "allergy_id": str(UUID(int=1))}] * 2),
    ],
)
def test_what_makes_no_sense_is_refused(
    stack: PatientStack, patient: UUID, status: str, listed: list[dict[str, Any]]
) -> None:
    """A list fits its status, and a line says what it is about."""
    assert 422 == write(stack, patient, status, *listed).status_code
    assert [] == stack.types()


def test_who_may(stack: PatientStack, patient: UUID) -> None:
    """The patient and dentists read and write the list, treatment reads it, nobody else does."""
    mine = person("PATIENT", patient)
    assert 200 == write(stack, patient, "NONE_KNOWN", by=mine).status_code
    assert 200 == read(stack, patient, mine).status_code
    for other in (person("PATIENT"), person("RECEPTIONIST"), person("ADMIN"), TREATMENT):
        assert 403 == read(stack, patient, other).status_code
        assert 403 == write(stack, patient, "NONE_KNOWN", match=2, by=other).status_code
    asked = stack.send("GET", f"/-/allergies/{patient}", by=TREATMENT)
    expected = {
        "patient_id": str(patient),
        "version": 2,
        "status": "NONE_KNOWN",
        "allergies": [],
    }
    assert expected == asked.get_json()
    assert 403 == stack.send("GET", f"/-/allergies/{patient}", by=mine).status_code


def test_a_patient_s_word_adds_to_what_dentists_have_established(
    stack: PatientStack, patient: UUID
) -> None:
    """Nobody gets a drug by refuting or forgetting the allergy that a dentist has confirmed."""
    mine = person("PATIENT", patient)
    confirmed = {**PENICILLIN, "verification": "confirmed"}
    assert 403 == write(stack, patient, "LISTED", confirmed, by=mine).status_code
    (line,) = write(stack, patient, "LISTED", confirmed).get_json()["allergies"]
    for status, listed in (
        ("NONE_KNOWN", []),
        ("UNKNOWN", []),
        ("LISTED", [{**line, "verification": "refuted"}]),
        ("LISTED", [{**line, "verification": "unconfirmed"}]),
        ("LISTED", [{**line, "code": "N02BA"}]),
        ("LISTED", [line, {"name": "Latex", "verification": "confirmed"}]),
    ):
        assert 403 == write(stack, patient, status, *listed, match=2, by=mine).status_code
    added = write(stack, patient, "LISTED", line, {"name": "Latex"}, match=2, by=mine)
    assert 200 == added.status_code
    (_, latex) = added.get_json()["allergies"]
    unsaid = write(stack, patient, "LISTED", line, match=3, by=mine)
    assert (200, "unconfirmed") == (unsaid.status_code, latex["verification"])
    assert 200 == write(stack, patient, "NONE_KNOWN", match=4).status_code


def test_nobody_s_list(stack: PatientStack) -> None:
    """There is no list of somebody who is no patient."""
    nobody = UUID(int=7)
    assert 404 == read(stack, nobody).status_code
    assert 404 == write(stack, nobody, "NONE_KNOWN").status_code
    assert 404 == stack.send("GET", f"/-/allergies/{nobody}", by=TREATMENT).status_code


def test_of_many_who_write_one_version_one_succeeds(stack: PatientStack, patient: UUID) -> None:
    """The list shares the record's version: nobody overwrites what they have not seen."""
    answers: list[int] = []
    ready = threading.Barrier(6)

    def change(number: int) -> None:
        ready.wait()
        answers.append(write(stack, patient, "LISTED", {"name": f"Thing {number}"}).status_code)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [200, 412, 412, 412, 412, 412] == sorted(answers)
    assert ["ALLERGIES_UPDATED"] == stack.types()
    assert (
        412
        == stack.send(
            "PATCH", f"/{patient}", {"phone": None}, by=person("RECEPTIONIST"), match=1
        ).status_code
    )


def test_the_history_tells_when_what_was_known(stack: PatientStack, patient: UUID) -> None:
    """Each list stays in the history, for the person alone: what did one know on that day?"""
    write(stack, patient, "NONE_KNOWN")
    before = datetime.now(UTC).isoformat()
    write(stack, patient, "LISTED", PENICILLIN, match=2)
    assert ["registered", "allergies", "allergies"] == whats(stack, patient)
    assert shown(stack, patient)["items"][2]["allergies"] is None
    mine = person("PATIENT", patient)
    items = shown(stack, patient, by=mine)["items"]
    assert ["NONE_KNOWN", "LISTED"] == [one["allergies"]["status"] for one in items[1:]]
    assert "NONE_KNOWN" == shown(stack, patient, by=mine, as_of=before)["allergies"]["status"]


def test_every_look_and_change_is_on_record(stack: PatientStack, patient: UUID) -> None:
    """The patient sees who read and who wrote the list."""
    write(stack, patient, "NONE_KNOWN")
    read(stack, patient)
    stack.send("GET", f"/-/allergies/{patient}", by=TREATMENT)
    log = stack.send("GET", f"/{patient}/access-log", by=person("PATIENT", patient)).get_json()
    found = [
        (one["action"], one["actor"]["kind"]) for one in log["items"] if one["what"] == "allergies"
    ]
    assert [("read", "service"), ("read", "person"), ("write", "person")] == found


def test_an_erasure_takes_the_list_along(stack: PatientStack, patient: UUID) -> None:
    """Nothing of the list is left, and no history of it can be read."""
    write(stack, patient, "LISTED", PENICILLIN)
    erased(stack, patient)
    assert [] == stack.rows("select 1 from patient_allergies where patient_id = :id", id=patient)
    assert 404 == read(stack, patient).status_code
