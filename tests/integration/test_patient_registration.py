"""How a patient comes to be and goes, and how the e-mail replica follows, on PostgreSQL."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from functions.patient import jobs
from shared.contracts.auth import EmailUpdated
from shared.contracts.patient import RemovePatient
from shared.db import LockTimeout
from shared.errors import Unavailable
from shared.messages import Envelope, envelope
from shared.types import uuid7
from tests.patient_stack import CNPS, NIK, PatientStack, ana, person
from tests.service_stack import stack_fixture

NOTHING = dict.fromkeys(
    (
        "patients",
        "patient_anamnesis",
        "patient_words",
        "subject_keys",
        "early_emails",
        "removed_patients",
    ),
    0,
)

made = stack_fixture(PatientStack)


@pytest.fixture
def stack(made: PatientStack) -> Iterator[PatientStack]:
    """The stack, nothing sent so far, no national id taken."""
    made.sent.clear()
    yield made
    made.rows("update patients set national_id = null, national_id_index = null")


def profile(stack: PatientStack, patient_id: UUID) -> dict[str, Any]:
    """What the patient sees."""
    answer = stack.send("GET", f"/{patient_id}", by=person("PATIENT", patient_id))
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


def _taken(stack: PatientStack, env: Envelope) -> None:
    """Deliver until it is taken, as a broker does: who waits for another for long gives up."""
    while True:
        with suppress(LockTimeout, Unavailable):
            stack.deliver(env)
            return


def test_create(stack: PatientStack) -> None:
    """A registration makes profile and anamnesis, sealed, and says so once."""
    told = {"allergies": "penicillin", "notes": "anxious"}
    patient_id = stack.register(
        national_id=CNPS[0],
        phone="+40 721 234 567",
        birth_date=date(1996, 2, 29),
        anamnesis=told,
    )
    assert {
        "patient_id": str(patient_id),
        "email": "ana@example.com",
        "first_name": "Ana",
        "last_name": "Popescu",
        "national_id": CNPS[0],
        "phone": "+40721234567",
        "birth_date": "1996-02-29",
        "language": "ro",
        "anamnesis": {**told, "chronic_conditions": None, "medications": None},
    } == profile(stack, patient_id)
    assert [("PATIENT_REGISTERED", 1)] == [
        (env.event_type, env.metadata.aggregate_version) for env in stack.sent
    ]
    row = stack.rows(
        "select p.*, a.* from patients p join patient_anamnesis a using (patient_id)"
        " where patient_id = :id",
        id=patient_id,
    )[0]
    sealed = b"".join(value for value in row.values() if isinstance(value, bytes))
    for secret in (CNPS[0], "721234567", "1996-02-29", "penicillin", "anxious"):
        assert secret.encode() not in sealed
        assert secret not in str({k: v for k, v in row.items() if not isinstance(v, bytes)})


def test_both_rows_without_anamnesis(stack: PatientStack) -> None:
    """Whoever tells nothing has an empty anamnesis, not none."""
    patient_id = stack.register(email=None)
    assert {**NOTHING, "patients": 1, "patient_anamnesis": 1, "patient_words": 2} | {
        "subject_keys": 1
    } == stack.count(patient_id)
    assert {None} == set(profile(stack, patient_id)["anamnesis"].values())


def test_create_again_changes_nothing(stack: PatientStack) -> None:
    """The command in another envelope is done already."""
    patient_id = stack.register(national_id=NIK)
    assert stack.command(ana(patient_id, national_id=NIK, first_name="Ena")) is None
    assert "Ana" == profile(stack, patient_id)["first_name"]
    assert ["PATIENT_REGISTERED"] == stack.types()


def test_duplicate_delivery(stack: PatientStack) -> None:
    """The same envelope twice takes effect once."""
    env = envelope(ana(uuid7()), source="auth")
    assert ["handled", "duplicate"] == [stack.deliver(env), stack.deliver(env)]
    assert ["PATIENT_REGISTERED"] == stack.types()


@pytest.mark.parametrize(
    "fields",
    [
        {"national_id": "2950101123456"},
        {"first_name": "  "},
        {"phone": "12"},
        {"birth_date": date(1850, 1, 1)},
        {"anamnesis": {"allergy": "misspelt"}},
        {"anamnesis": {"notes": "x" * 10_001}},
    ],
)
def test_invalid_is_refused(stack: PatientStack, fields: dict[str, Any]) -> None:
    """Data that is not acceptable is refused in words that do not repeat it; nothing stays."""
    patient_id = uuid7()
    problem = stack.command(ana(patient_id, **fields))
    assert problem is not None
    assert 422 == problem.status
    assert next(iter(fields)) in problem.detail
    for value in ("2950101123456", "1850", "misspelt"):
        assert value not in problem.detail
    assert NOTHING == stack.count(patient_id)
    assert [] == stack.types()


def test_national_id_of_another_patient(stack: PatientStack) -> None:
    """A taken national id refuses the whole registration, and is free when its bearer goes."""
    first, second = stack.register(national_id=CNPS[1]), uuid7()
    problem = stack.command(ana(second, national_id=CNPS[1]))
    assert problem is not None
    assert (409, "NationalIdTaken") == (problem.status, type(problem).__name__)
    assert NOTHING == stack.count(second)
    assert stack.command(RemovePatient(patient_id=first)) is None
    assert stack.command(ana(second, national_id=CNPS[1])) is None


def test_two_at_once_with_one_national_id(stack: PatientStack) -> None:
    """Of simultaneous registrations with one national id exactly one gets its profile."""
    people = [uuid7() for _ in range(6)]
    start = threading.Barrier(len(people))

    def register(patient_id: UUID) -> None:
        start.wait()
        stack.command(ana(patient_id, national_id=CNPS[2]))
        stack.db.close()

    threads = [threading.Thread(target=register, args=(one,)) for one in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 == sum(stack.count(one)["patients"] for one in people)
    assert 1 == sum(stack.count(one)["subject_keys"] for one in people)


def test_remove(stack: PatientStack) -> None:
    """Undoing leaves only the mark that the person must not come back, however often."""
    patient_id = stack.register(anamnesis={"notes": "n"})
    for _ in range(2):
        assert stack.command(RemovePatient(patient_id=patient_id)) is None
        assert {**NOTHING, "removed_patients": 1} == stack.count(patient_id)
    answer = stack.send("GET", f"/{patient_id}", by=person("ADMIN"))
    assert 404 == answer.status_code


def test_nothing_resurrects(stack: PatientStack) -> None:
    """What arrives after the removal is refused or ignored, also when nothing came before it."""
    for patient_id in (stack.register(), uuid7()):
        assert stack.command(RemovePatient(patient_id=patient_id)) is None
        problem = stack.command(ana(patient_id))
        assert problem is not None
        assert 409 == problem.status
        assert "handled" == stack.email(patient_id, "late@example.com", 9)
        assert {**NOTHING, "removed_patients": 1} == stack.count(patient_id)


def test_create_and_remove_at_once(stack: PatientStack) -> None:
    """Whichever of the two comes first, the person is gone in the end."""
    for _ in range(20):
        patient_id = uuid7()
        messages = [ana(patient_id), RemovePatient(patient_id=patient_id)]
        start = threading.Barrier(3)

        letters = [stack.letter(one) for one in messages]
        renamed = EmailUpdated(person_id=patient_id, email="new@example.com")
        letters.append(envelope(renamed, source="auth", version=3))

        def deliver(env: Envelope, start: threading.Barrier = start) -> None:
            start.wait()
            _taken(stack, env)
            stack.db.close()

        threads = [threading.Thread(target=deliver, args=(one,)) for one in letters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {**NOTHING, "removed_patients": 1} == stack.count(patient_id)


@pytest.mark.parametrize("order", list(itertools.permutations(["create", 2, 3])))
def test_email_in_any_order(stack: PatientStack, order: tuple[str | int, ...]) -> None:
    """The newest address wins, whether it comes before the profile, late or twice."""
    patient_id = uuid7()
    for what in (*order, *order):
        if isinstance(what, int):
            assert "handled" == stack.email(patient_id, f"v{what}@example.com", what)
        else:
            assert stack.command(ana(patient_id)) is None
    assert "v3@example.com" == profile(stack, patient_id)["email"]
    assert 0 == stack.count(patient_id)["early_emails"]


def test_email_under_duplication_and_reordering(stack: PatientStack) -> None:
    """Shuffled and repeated news of many people, raced by threads, end with each one's newest."""
    chance = random.Random(20260115)
    people = [uuid7() for _ in range(8)]
    events = [
        envelope(EmailUpdated(person_id=one, email=f"v{n}@example.com"), source="auth", version=n)
        for one in people
        for n in range(2, 12)
    ]
    work = events + chance.sample(events, len(events) // 5)
    work += [envelope(ana(one), source="auth") for one in people]
    chance.shuffle(work)
    shares = [work[n::4] for n in range(4)]

    def deliver(share: list[Any]) -> None:
        for env in share:
            _taken(stack, env)
        stack.db.close()

    threads = [threading.Thread(target=deliver, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ["v11@example.com"] * 8 == [profile(stack, one)["email"] for one in people]
    assert [0] * 8 == [stack.count(one)["early_emails"] for one in people]


def test_email_changes_the_etag(stack: PatientStack) -> None:
    """The profile shows another address, so its version is another one; an old one leaves it."""
    patient_id = stack.register()
    by = person("PATIENT", patient_id)
    tags = [stack.send("GET", f"/{patient_id}", by=by).headers["ETag"]]
    for version in (2, 1):
        stack.email(patient_id, f"v{version}@example.com", version)
        tags.append(stack.send("GET", f"/{patient_id}", by=by).headers["ETag"])
    assert ['"1"', '"2"', '"2"'] == tags


def test_email_without_a_version(stack: PatientStack) -> None:
    """An address of unknown age is parked: it could be older than ours."""
    event = EmailUpdated(person_id=stack.register(), email="x@example.com")
    assert "rejected" == stack.receive(event)


def test_early_addresses_are_forgotten(stack: PatientStack) -> None:
    """The address of somebody who is no patient stays a day at most."""
    old, new = uuid7(), uuid7()
    for one in (old, new):
        stack.email(one, "staff@example.com", 2)
    stack.rows(
        "update early_emails set received_at = now() - interval '25 hours' where patient_id = :id",
        id=old,
    )
    assert 1 == jobs.purge()
    assert [0, 1] == [stack.count(one)["early_emails"] for one in (old, new)]
