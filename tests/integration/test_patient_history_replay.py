"""A patient's history is the record: whatever happens, however raced, and however old it is."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.patient import jobs
from functions.patient.service import records as reading
from functions.patient.store import history as store
from shared.clocks import clock
from tests.integration.db_stack import together
from tests.patient_history import (
    change,
    facts,
    moved,
    old,
    patched,
    shown,
    tell,
    whats,
)
from tests.patient_stack import PatientStack, person
from tests.service_stack import stack_fixture

stack = stack_fixture(PatientStack)


def test_of_simultaneous_changes_one_is_a_fact(stack: PatientStack) -> None:
    """Eight change one version, addresses arrive meanwhile: the facts are those that won."""
    patient = stack.register()

    def one(number: int) -> int:
        if number % 2:
            moved(stack, patient, f"ana{number}@example.com", 2 + number, clock().now())
            return 0
        return patched(stack, patient, 1, first_name=f"Ana {'abcdefgh'[number]}")

    answers = together(*(partial(one, number) for number in range(8)))
    assert {0} == set(answers[1::2])
    statuses = answers[::2]
    assert set(statuses) <= {200, 412}
    row = stack.rows("select version, facts from patients where patient_id = :id", id=patient)[0]
    assert row["version"] == row["facts"] == len(facts(stack, patient))
    assert 1 >= statuses.count(200) == whats(stack, patient).count("profile")
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
