"""Requests: a patient asks, reception books or says why not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

from shared.contracts.gdpr import GdprDataDeletion
from shared.runtime import vault
from shared.types import uuid7
from tests.appointment_stack import (
    NOW,
    AppointmentStack,
    Clinic,
    clinic_fixture,
    person,
    time_fixture,
    utc,
)
from tests.service_stack import stack_fixture

NINE = utc("2026-03-03T07:00")
HALF = timedelta(minutes=30)

stack = stack_fixture(AppointmentStack)
clinic = clinic_fixture()
time = time_fixture()


def body(patient: UUID, clinic: Clinic, kind: UUID, **more: Any) -> dict[str, Any]:
    window = {"starts_at": NINE.isoformat(), "ends_at": (NINE + 8 * HALF).isoformat()}
    return {
        "patient_id": str(patient),
        "clinic_id": str(clinic.id),
        "type_id": str(kind),
        "windows": [window],
        **more,
    }


def asked(
    stack: AppointmentStack, clinic: Clinic, patient: UUID | None = None, **more: Any
) -> dict[str, Any]:
    """A patient has asked."""
    who = patient or stack.patient()
    me = person("PATIENT", identity=who)
    return stack.made("POST", "/requests", body(who, clinic, clinic.type(), **more), by=me)


def path(made: dict[str, Any], step: str = "") -> str:
    return f"/requests/{made['request_id']}{step}"


def test_reception_hears_of_a_request(stack: AppointmentStack, clinic: Clinic) -> None:
    """A request is told without what it says, and reception reads the note."""
    doctor = clinic.practitioner()
    stack.types()
    note = "Doar după-amiaza, vă rog"
    made = asked(stack, clinic, note=note, practitioner_id=str(doctor))
    told = next(env for env in stack.sent if env.event_type == "APPOINTMENT_REQUESTED")
    assert {
        "request_id": made["request_id"],
        "patient_id": made["patient_id"],
        "clinic_id": str(clinic.id),
    } == told.payload
    shown = stack.send("GET", path(made), by=clinic.desk)
    assert ('"1"', note, "OPEN") == (
        shown.headers["ETag"],
        shown.get_json()["note"],
        shown.get_json()["status"],
    )
    assert [{"starts_at": "2026-03-03T07:00:00Z", "ends_at": "2026-03-03T11:00:00Z"}] == (
        shown.get_json()["windows"]
    )
    (row,) = stack.rows(
        "select note from appointment_requests where request_id = :id", id=UUID(made["request_id"])
    )
    assert note.encode() not in row["note"]


def test_reception_accepts(stack: AppointmentStack, clinic: Clinic) -> None:
    """Accepting books the appointment and answers the request in one step."""
    doctor, made = clinic.practitioner(), asked(stack, clinic)
    stack.types()
    order = {"practitioner_id": str(doctor), "starts_at": NINE.isoformat()}
    answer = stack.send("POST", path(made, "/accept"), order, by=clinic.desk, match=1)
    assert 201 == answer.status_code, answer.text
    assert ["APPOINTMENT_BOOKED", "APPOINTMENT_CONFIRMED"] == stack.types()
    booked, shown = answer.get_json(), stack.made("GET", path(made), None, by=clinic.desk)
    assert (made["patient_id"], made["type_id"]) == (booked["patient_id"], booked["type_id"])
    assert ("ACCEPTED", booked["appointment_id"], 2) == (
        shown["status"],
        shown["appointment_id"],
        shown["version"],
    )


def test_a_slot_that_is_taken_leaves_the_request_open(
    stack: AppointmentStack, clinic: Clinic
) -> None:
    """When the slot is gone nothing is answered, and reception can choose another."""
    doctor, kind, made = clinic.practitioner(), clinic.type(), asked(stack, clinic)
    stack.made("POST", "", stack.order(stack.patient(), doctor, kind, NINE), by=clinic.desk)
    order = {"practitioner_id": str(doctor), "starts_at": NINE.isoformat()}
    answer = stack.send("POST", path(made, "/accept"), order, by=clinic.desk, match=1)
    assert "urn:dentalhelp:problem:slot-taken" == answer.get_json()["type"]
    shown = stack.made("GET", path(made), None, by=clinic.desk)
    assert ("OPEN", 1) == (shown["status"], shown["version"])
    order["starts_at"] = answer.get_json()["next"][0]["starts_at"]
    answer = stack.send("POST", path(made, "/accept"), order, by=clinic.desk, match=1)
    assert 201 == answer.status_code


def test_reception_declines_with_a_reason(stack: AppointmentStack, clinic: Clinic) -> None:
    """The patient is told why, and reads it; it is kept sealed."""
    made = asked(stack, clinic)
    stack.types()
    reason = "Nu avem loc luna aceasta"
    silent = stack.send("POST", path(made, "/decline"), {}, by=clinic.desk, match=1)
    assert 422 == silent.status_code
    answer = stack.send("POST", path(made, "/decline"), {"reason": reason}, by=clinic.desk, match=1)
    assert ("DECLINED", reason) == (answer.get_json()["status"], answer.get_json()["reason"])
    (told,) = [env for env in stack.sent if env.event_type == "APPOINTMENT_REQUEST_DECLINED"]
    assert (reason, 2) == (told.payload["reason"], told.metadata.aggregate_version)
    me = person("PATIENT", identity=UUID(made["patient_id"]))
    assert reason == stack.made("GET", path(made), None, by=me)["reason"]
    again = stack.send("POST", path(made, "/decline"), {"reason": "x"}, by=clinic.desk, match=2)
    assert "urn:dentalhelp:problem:request-decided" == again.get_json()["type"]


def test_the_patient_withdraws(stack: AppointmentStack, clinic: Clinic) -> None:
    """A request that was taken back is answered by nobody."""
    made = asked(stack, clinic)
    me = person("PATIENT", identity=UUID(made["patient_id"]))
    assert 428 == stack.send("POST", path(made, "/withdraw"), by=me).status_code
    assert 412 == stack.send("POST", path(made, "/withdraw"), by=me, match=9).status_code
    answer = stack.send("POST", path(made, "/withdraw"), by=me, match=1)
    assert "WITHDRAWN" == answer.get_json()["status"]
    answer = stack.send("POST", path(made, "/decline"), {"reason": "x"}, by=clinic.desk, match=2)
    assert 409 == answer.status_code


def test_two_receptionists_answer_once(stack: AppointmentStack, clinic: Clinic) -> None:
    """Of two who accept at once at different times one books, and one appointment exists."""
    for _ in range(5):
        made, doctors = asked(stack, clinic), [clinic.practitioner() for _ in "ab"]
        barrier = Barrier(2)

        def accept(
            number: int,
            made: dict[str, Any] = made,
            doctors: list[UUID] = doctors,
            barrier: Barrier = barrier,
        ) -> int:
            at = NINE + number * HALF
            order = {"practitioner_id": str(doctors[number]), "starts_at": at.isoformat()}
            barrier.wait()
            return stack.send(
                "POST", path(made, "/accept"), order, by=clinic.desk, match=1
            ).status_code

        with ThreadPoolExecutor(2) as pool:
            found = sorted(pool.map(accept, range(2)))
        assert [201, 409] == found
        rows = stack.rows(
            "select from appointments where patient_id = :p", p=UUID(made["patient_id"])
        )
        assert 1 == len(rows)


def test_who_may_ask_and_answer(stack: AppointmentStack, clinic: Clinic) -> None:
    """Patients ask for themselves and answer nobody; another clinic's desk finds nothing; a
    receptionist who is a patient elsewhere does not answer themselves there."""
    doctor, made = clinic.practitioner(), asked(stack, clinic)
    order = {"practitioner_id": str(doctor), "starts_at": NINE.isoformat()}
    stranger = person("PATIENT")
    other = body(UUID(made["patient_id"]), clinic, clinic.type())
    assert 403 == stack.send("POST", "/requests", other, by=stranger).status_code
    assert 404 == stack.send("GET", path(made), by=stranger).status_code
    owner = person("PATIENT", identity=UUID(made["patient_id"]))
    accept = path(made, "/accept")
    assert 403 == stack.send("POST", accept, order, by=owner, match=1).status_code
    elsewhere = Clinic(stack, "Europe/Bucharest")
    assert 404 == stack.send("POST", accept, order, by=elsewhere.desk, match=1).status_code
    both = person("RECEPTIONIST", elsewhere.id, UUID(made["patient_id"]))
    assert 403 == stack.send("POST", accept, order, by=both, match=1).status_code
    assert 201 == stack.send("POST", accept, order, by=clinic.desk, match=1).status_code


def test_only_what_the_clinic_offers(stack: AppointmentStack, clinic: Clinic) -> None:
    """Another clinic's type, a practitioner who does not work there, and who is no patient are
    refused."""
    elsewhere, who = Clinic(stack, "Europe/Bucharest"), stack.patient()
    wrong = body(who, clinic, elsewhere.type())
    assert 404 == stack.send("POST", "/requests", wrong, by=clinic.desk).status_code
    nobody = body(who, clinic, clinic.type(), practitioner_id=str(uuid7()))
    assert 409 == stack.send("POST", "/requests", nobody, by=clinic.desk).status_code


def test_lists_are_in_order_and_paged(stack: AppointmentStack, clinic: Clinic) -> None:
    """Reception works through a clinic's open requests, the oldest first; each look is on
    record."""
    made = [asked(stack, clinic) for _ in range(3)]
    stack.send("POST", path(made[1], "/decline"), {"reason": "x"}, by=clinic.desk, match=1)
    query = f"/requests?clinic_id={clinic.id}&status=OPEN&limit=1"
    first = stack.made("GET", query, None, by=clinic.desk)
    second = stack.made("GET", f"{query}&cursor={first['next_cursor']}", None, by=clinic.desk)
    shown = [*first["items"], *second["items"]]
    assert [made[0]["request_id"], made[2]["request_id"]] == [one["request_id"] for one in shown]
    assert second["next_cursor"] is None
    own = stack.made(
        "GET",
        f"/requests?patient_id={made[1]['patient_id']}",
        None,
        by=person("PATIENT", identity=UUID(made[1]["patient_id"])),
    )
    assert [made[1]["request_id"]] == [one["request_id"] for one in own["items"]]
    noted = stack.rows(
        "select actor from audit_log where person_id = :p and action = 'read'",
        p=UUID(made[0]["patient_id"]),
    )
    assert clinic.desk.id in {row["actor"] for row in noted}


def test_a_repeated_request_is_one(stack: AppointmentStack, clinic: Clinic) -> None:
    """With an Idempotency-Key the same request is made once."""
    who, key = stack.patient(), str(uuid7())
    what = body(who, clinic, clinic.type(), note="o dată")
    me = person("PATIENT", identity=who)
    one, two = (stack.send("POST", "/requests", what, by=me, key=key) for _ in "ab")
    assert one.get_json() == two.get_json()
    assert 1 == len(stack.rows("select from appointment_requests where patient_id = :p", p=who))


def test_an_erasure_takes_the_requests(stack: AppointmentStack, clinic: Clinic) -> None:
    """Nothing of what the patient wrote stays, and nothing new can be asked for them."""
    made = asked(stack, clinic, note="alergie")
    who = UUID(made["patient_id"])
    stack.receive(
        GdprDataDeletion(
            patient_id=who,
            erasure_id=uuid7(),
            reason="USER_REQUEST_ARTICLE_17",
            requested_by=who,
            requested_at=NOW,
        )
    )
    assert 404 == stack.send("GET", path(made), by=clinic.desk).status_code
    answer = stack.send("POST", "/requests", body(who, clinic, clinic.type()), by=clinic.desk)
    assert "urn:dentalhelp:problem:person-erased" == answer.get_json()["type"]


def test_an_export_shows_what_was_asked(stack: AppointmentStack, clinic: Clinic) -> None:
    """The patient's export has the request, readable."""
    from functions.appointment.privacy import privacy

    made = asked(stack, clinic, note="fereastră")
    who = UUID(made["patient_id"])
    shown = privacy.export(stack.db, vault("appointment"), who)
    assert ["fereastră"] == [row["note"] for row in shown["appointment_requests"]]
    window = "[2026-03-03 07:00:00+00:00,2026-03-03 11:00:00+00:00)"
    assert [window] == shown["appointment_requests"][0]["windows"]
