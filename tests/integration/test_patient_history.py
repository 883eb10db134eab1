"""A patient's history: every change is in it, it says what was so when, and dies with the key."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from functions.patient.main import service
from shared.clocks import clock
from shared.contracts.patient import RemovePatient
from shared.runtime import vault
from shared.types import uuid7
from tests.patient_history import (
    ADMIN,
    DESK,
    change,
    erased,
    facts,
    moved,
    patched,
    shown,
    tell,
    whats,
)
from tests.patient_stack import CNPS, PatientStack, person
from tests.service_stack import stack_fixture

_NOTHING = dict.fromkeys(("allergies", "chronic_conditions", "medications", "notes"))

stack = stack_fixture(PatientStack)


def test_every_change_is_in_the_history(stack: PatientStack) -> None:
    """Registration, profile, address and anamnesis: what changed, and who did it."""
    patient = stack.register(phone="+40 721 234 567", birth_date=date(1996, 2, 29))
    change(stack, patient, 1, last_name="Ionescu", phone=None)
    stack.email(patient, "ana.ionescu@example.com", 2)
    tell(stack, patient, 3, allergies="penicillin")
    whole = {
        "first_name": "Ana",
        "last_name": "Popescu",
        "national_id": None,
        "phone": "+40721234567",
        "birth_date": "1996-02-29",
        "language": "ro",
        "email": "ana@example.com",
    }
    items = shown(stack, patient)["items"]
    assert [
        (1, "registered", whole, None),
        (2, "profile", {"last_name": "Ionescu", "phone": None}, str(DESK.id)),
        (3, "email", {"email": "ana.ionescu@example.com"}, None),
        (4, "anamnesis", {}, str(patient)),
    ] == [(item["version"], item["what"], item["changes"], item["by"]) for item in items]
    recorded = [datetime.fromisoformat(item["recorded_at"]) for item in items]
    assert sorted(recorded) == recorded


def test_the_anamnesis_is_for_the_person_alone(stack: PatientStack) -> None:
    """An ADMIN sees that it was told anew; what it says only the patient sees, also of the past."""
    patient = stack.register(anamnesis={"notes": "anxious"})
    tell(stack, patient, 1, allergies="penicillin")
    mine = person("PATIENT", patient)
    told = [{**_NOTHING, "notes": "anxious"}, {**_NOTHING, "allergies": "penicillin"}]
    items = shown(stack, patient, mine)["items"]
    assert told == [item["anamnesis"] for item in items]
    assert [None, None] == [item["anamnesis"] for item in shown(stack, patient)["items"]]
    for item, then in zip(items, told, strict=True):
        assert then == shown(stack, patient, mine, as_of=item["at"])["profile"]["anamnesis"]
        assert None is shown(stack, patient, as_of=item["at"])["profile"]["anamnesis"]


def test_a_change_without_effect_is_none(stack: PatientStack) -> None:
    """What is refused, stale, known or already so leaves no fact."""
    taken, patient = stack.register(national_id=CNPS[0]), stack.register()
    change(stack, patient, 1, first_name="Ana")
    assert 409 == patched(stack, patient, 1, national_id=CNPS[0])
    assert 412 == patched(stack, patient, 7, first_name="Mia")
    stack.email(patient, "late@example.com", 1)
    assert [["registered"], ["registered"]] == [whats(stack, one) for one in (taken, patient)]


def test_which_address_on_this_date(stack: PatientStack) -> None:
    """An address is dated by its change in auth, however late patient hears of it."""
    now = clock().now()
    patient = stack.register()
    registered = shown(stack, patient)["items"][0]["at"]
    moved(stack, patient, "second@example.com", 2, now + timedelta(hours=1))
    ahead = shown(stack, patient)["items"][1]
    at, recorded = (datetime.fromisoformat(ahead[name]) for name in ("at", "recorded_at"))
    assert at <= recorded, "what is known is not yet to come"
    change(stack, patient, 2, first_name="Mia")
    answer = shown(stack, patient, as_of=registered)
    assert ("ana@example.com", 1, "Ana") == (
        answer["profile"]["email"],
        answer["version"],
        answer["profile"]["first_name"],
    )
    after = shown(stack, patient, as_of=clock().now().isoformat())
    assert ("second@example.com", 3) == (after["profile"]["email"], after["version"])
    before = urlencode({"as_of": (now - timedelta(days=1)).isoformat()})
    assert 404 == stack.send("GET", f"/{patient}/history?{before}", by=ADMIN).status_code


def test_what_was_known_when(stack: PatientStack) -> None:
    """``known_at`` leaves out what was learned later, although it was so already."""
    began = clock().now()
    patient = stack.register()
    known = shown(stack, patient)["items"][0]["recorded_at"]
    # Auth changed it before there was a profile; the news comes after.
    moved(stack, patient, "second@example.com", 2, began)
    now = clock().now().isoformat()
    assert "second@example.com" == shown(stack, patient, as_of=now)["profile"]["email"]
    then = shown(stack, patient, as_of=now, known_at=known)
    assert ("ana@example.com", 1) == (then["profile"]["email"], then["version"])
    assert 1 == len(shown(stack, patient, known_at=known)["items"])
    assert 2 == len(shown(stack, patient, known_at=now)["items"])


def test_the_history_comes_in_pages(stack: PatientStack) -> None:
    """The pages together are the whole history."""
    patient = stack.register()
    for version in range(1, 5):
        change(stack, patient, version, first_name=f"Ana {'abcd'[version - 1]}")
    versions: list[int] = []
    query: dict[str, Any] = {"limit": 2}
    while query:
        page = shown(stack, patient, **query)
        versions += [item["version"] for item in page["items"]]
        query = page["next_cursor"] and {"limit": 2, "cursor": page["next_cursor"]}
    assert [1, 2, 3, 4, 5] == versions
    bad = stack.send("GET", f"/{patient}/history?cursor=AAAA", by=ADMIN)
    assert 400 == bad.status_code


def test_to_look_is_in_the_access_log(stack: PatientStack) -> None:
    """Who read the history stands in the log; who asked in vain read nothing."""
    patient = stack.register()
    shown(stack, patient)
    shown(stack, patient, person("PATIENT", patient), as_of=clock().now().isoformat())
    stack.send("GET", f"/{patient}/history", by=person("DENTIST"))
    rows = stack.rows(
        "select purpose from audit_log where person_id = :id and action = 'read'"
        " and what = 'history' order by id",
        id=patient,
    )
    assert ["HOPERAT", "PATRQT"] == [row["purpose"] for row in rows]
    assert 404 == stack.send("GET", f"/{uuid7()}/history", by=ADMIN).status_code


def test_an_erasure_leaves_numbers(stack: PatientStack) -> None:
    """Afterwards there is no such patient, no fact can be read and none is exported; how many there
    were stays."""
    patient = stack.register()
    change(stack, patient, 1, first_name="Zenobia")
    exported = service.privacy.export(stack.db, vault("patient"), patient)["events"]
    assert [("PROFILE_REGISTERED", "Ana"), ("PROFILE_CHANGED", "Zenobia")] == [
        (row["type"], row["fact"]["profile"]["first_name"]) for row in exported
    ]
    erased(stack, patient)
    for caller in (ADMIN, person("PATIENT", patient)):
        assert 404 == stack.send("GET", f"/{patient}/history", by=caller).status_code
    assert [None, None] == facts(stack, patient)
    assert [] == service.privacy.export(stack.db, vault("patient"), patient)["events"]


def test_a_failed_registration_leaves_nothing_readable(stack: PatientStack) -> None:
    """Whoever is removed has no history, and nobody can read what it said."""
    patient = stack.register()
    stack.command(RemovePatient(patient_id=patient))
    assert 404 == stack.send("GET", f"/{patient}/history", by=ADMIN).status_code
    assert [None] == facts(stack, patient)
