"""A patient's history: every change is in it, it says what was so when, and dies with the key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.patient import jobs
from functions.patient.main import service
from functions.patient.service import records as reading
from functions.patient.store import history as store
from shared.clocks import clock
from shared.contracts.auth import EmailUpdated
from shared.contracts.gdpr import GdprDataDeletion
from shared.contracts.patient import RemovePatient
from shared.identity import Caller
from shared.messages import envelope
from shared.runtime import vault
from shared.types import uuid7
from tests.integration.db_stack import together
from tests.patient_stack import CNPS, PatientStack, person

_ADMIN = Caller("person", uuid7(), frozenset({"ADMIN"}), {"*": frozenset({"ADMIN"})})
_DESK = person("RECEPTIONIST")
_NOTHING = dict.fromkeys(("allergies", "chronic_conditions", "medications", "notes"))


@pytest.fixture(scope="module")
def stack(service_db: Callable[[str], str]) -> PatientStack:
    """One stack for the module."""
    return PatientStack(service_db("patient"))


def shown(stack: PatientStack, patient_id: UUID, by: Caller = _ADMIN, **query: Any) -> Any:
    """What the route answers."""
    path = f"/{patient_id}/history?{urlencode(query)}"
    answer = stack.send("GET", path, by=by)
    assert 200 == answer.status_code, answer.text
    return answer.get_json()


def whats(stack: PatientStack, patient_id: UUID) -> list[str]:
    """The kinds of change, in their order."""
    return [item["what"] for item in shown(stack, patient_id)["items"]]


def change(stack: PatientStack, patient_id: UUID, version: int, **fields: Any) -> None:
    """The reception changes the profile."""
    answer = stack.send("PATCH", f"/{patient_id}", fields, by=_DESK, match=version)
    assert 200 == answer.status_code, answer.text


def tell(stack: PatientStack, patient_id: UUID, version: int, **told: str) -> None:
    """The patient tells the medical history."""
    mine = person("PATIENT", patient_id)
    answer = stack.send("PUT", f"/{patient_id}/anamnesis", told, by=mine, match=version)
    assert 200 == answer.status_code, answer.text


def moved(stack: PatientStack, patient_id: UUID, address: str, version: int, at: datetime) -> None:
    """Auth says that the address is another one since ``at``."""
    env = envelope(
        EmailUpdated(person_id=patient_id, email=address), source="auth", version=version
    )
    stamp = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z-0000"
    dated = env.model_copy(update={"metadata": env.metadata.model_copy(update={"hlc": stamp})})
    assert "handled" == stack.deliver(dated)


def erased(stack: PatientStack, patient_id: UUID) -> None:
    """The person is erased."""
    event = GdprDataDeletion(
        patient_id=patient_id,
        erasure_id=uuid4(),
        reason="USER_REQUEST_ARTICLE_17",
        requested_at=clock().now(),
    )
    assert "handled" == stack.deliver(envelope(event, source="auth"), topic="gdpr")


def facts(stack: PatientStack, patient_id: UUID) -> list[Any]:
    """The facts as they can be read now: None where the key is gone."""
    found = store.STORE.history(stack.db, store.stream(patient_id))
    return [event.fact for event in found]


def old(stack: PatientStack, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> UUID:
    """A patient from before there were histories."""
    with monkeypatch.context() as patch:
        patch.setattr(store, "note", lambda *_, **__: None)
        patient_id = stack.register(**fields)
    stack.rows("update patients set facts = 0 where patient_id = :id", id=patient_id)
    return patient_id


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
        (2, "profile", {"last_name": "Ionescu", "phone": None}, str(_DESK.id)),
        (3, "email", {"email": "ana.ionescu@example.com"}, None),
        (4, "anamnesis", {}, str(patient)),
    ] == [(item["version"], item["what"], item["changes"], item["by"]) for item in items]
    assert sorted(item["recorded_at"] for item in items) == [i["recorded_at"] for i in items]


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
    assert 409 == _patch(stack, patient, 1, national_id=CNPS[0])
    assert 412 == _patch(stack, patient, 7, first_name="Mia")
    stack.email(patient, "late@example.com", 1)
    assert [["registered"], ["registered"]] == [whats(stack, one) for one in (taken, patient)]


def _patch(stack: PatientStack, patient_id: UUID, version: int, **fields: Any) -> int:
    sent = stack.send("PATCH", f"/{patient_id}", fields, by=_DESK, match=version)
    return sent.status_code


def test_which_address_on_this_date(stack: PatientStack) -> None:
    """An address is dated by its change in auth, however late patient hears of it."""
    now = clock().now()
    patient = stack.register()
    registered = shown(stack, patient)["items"][0]["at"]
    moved(stack, patient, "second@example.com", 2, now + timedelta(hours=1))
    ahead = shown(stack, patient)["items"][1]
    assert ahead["at"] <= ahead["recorded_at"], "what is known is not yet to come"
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
    assert 404 == stack.send("GET", f"/{patient}/history?{before}", by=_ADMIN).status_code


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
    bad = stack.send("GET", f"/{patient}/history?cursor=AAAA", by=_ADMIN)
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
    assert 404 == stack.send("GET", f"/{uuid7()}/history", by=_ADMIN).status_code


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
    for caller in (_ADMIN, person("PATIENT", patient)):
        assert 404 == stack.send("GET", f"/{patient}/history", by=caller).status_code
    assert [None, None] == facts(stack, patient)
    assert [] == service.privacy.export(stack.db, vault("patient"), patient)["events"]


def test_a_failed_registration_leaves_nothing_readable(stack: PatientStack) -> None:
    """Whoever is removed has no history, and nobody can read what it said."""
    patient = stack.register()
    stack.command(RemovePatient(patient_id=patient))
    assert 404 == stack.send("GET", f"/{patient}/history", by=_ADMIN).status_code
    assert [None] == facts(stack, patient)


def test_of_simultaneous_changes_one_is_a_fact(stack: PatientStack) -> None:
    """Eight change one version, addresses arrive meanwhile: the facts are those that won."""
    patient = stack.register()

    def one(number: int) -> int:
        if number % 2:
            moved(stack, patient, f"ana{number}@example.com", 2 + number, clock().now())
            return 0
        return _patch(stack, patient, 1, first_name=f"Ana {'abcdefgh'[number]}")

    answers = together(*(partial(one, number) for number in range(8)))
    assert {0} == set(answers[1::2])
    patched = answers[::2]
    assert set(patched) <= {200, 412}
    row = stack.rows("select version, facts from patients where patient_id = :id", id=patient)[0]
    assert row["version"] == row["facts"] == len(facts(stack, patient))
    assert 1 >= patched.count(200) == whats(stack, patient).count("profile")
    assert True is _replays(stack, patient)


def _replays(stack: PatientStack, patient_id: UUID) -> bool:
    """Whether the history tells exactly what the rows say."""
    past, _ = store.STORE.load(stack.db, store.stream(patient_id), store.Past(), store.then)
    record = reading.read(patient_id, anamnesis=True)
    row = stack.rows("select email_version from patients where patient_id = :id", id=patient_id)
    return past == store.Past(
        record.profile, record.anamnesis, record.email, row[0]["email_version"]
    )


_NAMES = st.sampled_from(["Ana", "Mia", "Ștefania", "Ion"])
_STEPS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {},
            optional={
                "first_name": _NAMES,
                "last_name": _NAMES,
                "phone": st.sampled_from([None, "+40721234567", "+62215550199"]),
                "birth_date": st.sampled_from([None, "1996-02-29", "2001-12-31"]),
                "language": st.sampled_from(["ro", "en", "id"]),
            },
        ),
        st.tuples(st.integers(1, 9), st.integers(-3, 3)),
        st.text(max_size=20).filter(lambda text: "\0" not in text),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(steps=_STEPS, begun=st.booleans())
def test_the_history_replays_to_the_record(
    stack: PatientStack, steps: list[Any], begun: bool
) -> None:
    """Whatever happens to a record, its facts one after the other give the rows; also for one from
    before there were histories."""
    with pytest.MonkeyPatch.context() as patch:
        patient = old(stack, patch) if begun else stack.register()
    for step in steps:
        version = reading.read(patient, anamnesis=False).version
        if isinstance(step, dict):
            change(stack, patient, version, **step)
        elif isinstance(step, tuple):
            number, hours = step
            at = clock().now() + timedelta(hours=hours)
            moved(stack, patient, f"ana{number}@example.com", number, at)
        else:
            tell(stack, patient, version, notes=step)
    shown(stack, patient)
    assert True is _replays(stack, patient)
    past, _ = store.STORE.load(
        stack.db, store.stream(patient), store.Past(), store.then, as_of=clock().now()
    )
    assert reading.read(patient, anamnesis=False).email == past.email


@pytest.mark.parametrize("what", ["profile", "anamnesis", "email", "look", "job"])
def test_an_older_record_gets_its_history(
    stack: PatientStack, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Whoever comes first to a record from before there were histories writes down how it was."""
    patient = old(stack, monkeypatch, anamnesis={"notes": "anxious"})
    if what == "profile":
        change(stack, patient, 1, first_name="Mia")
    elif what == "anamnesis":
        tell(stack, patient, 1, notes="calm")
    elif what == "email":
        stack.email(patient, "second@example.com", 2)
    elif what == "job":
        assert 1 == jobs.begin_histories()
        assert 0 == jobs.begin_histories()
    first = shown(stack, patient, person("PATIENT", patient))["items"][0]
    assert ("begun", "Ana", "ana@example.com", "anxious") == (
        first["what"],
        first["changes"]["first_name"],
        first["changes"]["email"],
        first["anamnesis"]["notes"],
    )
    expected = [] if what in ("look", "job") else [what]
    assert ["begun", *expected] == whats(stack, patient)


def test_a_history_begins_once(stack: PatientStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight come to an older record at once."""
    patient = old(stack, monkeypatch)
    found = together(*[jobs.begin_histories, lambda: whats(stack, patient)] * 4)
    assert [["begun"]] * 4 == found[1::2]
    assert 1 >= sum(cast("list[int]", found[::2]))
    assert ["begun"] == whats(stack, patient)
