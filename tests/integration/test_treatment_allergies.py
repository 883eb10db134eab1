"""The replica of allergies: when it is believed, when patient is asked, who is first in a race."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.treatment.domain.allergies import Allergy as Line
from functions.treatment.domain.allergies import Listed
from functions.treatment.store import replicas
from shared.clocks import clock
from shared.contracts.patient import AllergiesUpdated, Allergy, AnamnesisUpdated, PatientUpdated
from shared.db import Tx
from shared.runtime import vault
from tests.service_stack import world_fixture
from tests.treatment_world import World

PENICILLIN = {"code": "J01C", "name": "Penicillin", "criticality": "high"}

world = world_fixture(World)


@pytest.fixture
def patient_id(world: World, request: pytest.FixtureRequest) -> str:
    """A patient who has no known allergy, as treatment has heard."""
    _, identity = world.patient(f"p{abs(hash(request.node.nodeid))}")
    world.allergies("NONE_KNOWN", patient_id=identity)
    world.platform.drain()
    return identity


@contextmanager
def away(world: World) -> Iterator[None]:
    """In this block patient's service answers nobody."""
    world.platform.away.add("patient")
    try:
        yield
    finally:
        world.platform.away.clear()


def replica(world: World, patient_id: str) -> tuple[int, int]:
    """(version, heard)."""
    (row,) = world.platform.databases["treatment"].all(
        "select version, heard from allergy_replicas where patient_id = :id", id=UUID(patient_id)
    )
    return row["version"], row["heard"]


def updated(patient_id: str, *listed: dict[str, Any]) -> AllergiesUpdated:
    """The list is now this one."""
    status: Literal["LISTED", "NONE_KNOWN"] = "LISTED" if listed else "NONE_KNOWN"
    lines = [
        Allergy(allergy_id=uuid4(), verification="confirmed", **{"criticality": "high", **one})
        for one in listed
    ]
    return AllergiesUpdated(patient_id=UUID(patient_id), status=status, allergies=lines)


def test_a_fresh_replica_suffices(world: World, patient_id: str) -> None:
    """While patient is away, what treatment has just heard is good enough to prescribe by."""
    with away(world):
        assert 201 == world.prescribe(patient_id).status_code
        world.push(updated(patient_id, PENICILLIN), 3)
        assert 409 == world.prescribe(patient_id).status_code


def test_a_missing_replica_is_asked_for(world: World) -> None:
    """Of somebody of whom nothing was heard patient is asked, and what it says is kept."""
    _, identity = world.patient("silent")
    with away(world):
        refused = world.prescribe(identity)
        assert (503, "patient") == (refused.status_code, world.json(refused)["service"])
    world.allergies("NONE_KNOWN", patient_id=identity)  # not delivered
    made = world.prescribe(identity)
    assert (201, 2) == (made.status_code, world.json(made)["allergies_version"])
    assert (2, 2) == replica(world, identity)


def test_a_gap_in_what_was_heard_is_asked_about(world: World, patient_id: str) -> None:
    """News of a newer record than the list is from may hide a newer list: nobody guesses."""
    world.allergies("LISTED", PENICILLIN, patient_id=patient_id)  # not delivered
    world.push(PatientUpdated(patient_id=UUID(patient_id), fields=["phone"]), 4)
    assert (2, 4) == replica(world, patient_id)
    with away(world):
        assert 503 == world.prescribe(patient_id).status_code
    # Patient says 3, and 4 was heard of: that is not the newest either.
    assert 503 == world.prescribe(patient_id).status_code
    world.call(
        "PATCH", f"/api/patients/{patient_id}", {"phone": "+40721234567"}, by=world.desk, match=3
    )
    refused = world.prescribe(patient_id)
    assert "allergy-conflict" in world.json(refused)["type"]


def test_other_news_of_the_record_keeps_the_list(world: World, patient_id: str) -> None:
    """What comes right behind the list's version and is not about it leaves the list as it is."""
    world.push(PatientUpdated(patient_id=UUID(patient_id), fields=["phone"]), 3)
    world.push(AnamnesisUpdated(patient_id=UUID(patient_id)), 4)
    assert (4, 4) == replica(world, patient_id)
    with away(world):
        assert 201 == world.prescribe(patient_id).status_code
        world.push(AnamnesisUpdated(patient_id=UUID(patient_id)), 6)
        assert (4, 6) == replica(world, patient_id)
        assert 503 == world.prescribe(patient_id).status_code


def test_an_old_replica_is_asked_about(
    world: World, patient_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nothing has confirmed for too long may have missed news: patient is asked."""
    monkeypatch.setattr(replicas, "OLDEST", timedelta(hours=1))
    old = clock().now() - timedelta(hours=2)
    world.platform.databases["treatment"].all(
        "update allergy_replicas set confirmed_at = :old where patient_id = :id",
        old=old,
        id=UUID(patient_id),
    )
    with away(world):
        assert 503 == world.prescribe(patient_id).status_code
    assert 201 == world.prescribe(patient_id).status_code
    with away(world):
        assert 201 == world.prescribe(patient_id).status_code


def test_whoever_asks_is_named_to_patient(world: World) -> None:
    """Patient's audit names the dentist for whom treatment has looked."""
    token, identity = world.patient("watchful")
    world.allergies("NONE_KNOWN", patient_id=identity)
    made = world.json(world.prescribe(identity))
    log = world.call("GET", f"/api/patients/{identity}/access-log", by=token)
    looks = [one for one in world.json(log)["items"] if one["what"] == "allergies"]
    assert ("treatment", made["prescriber_id"]) == (
        looks[0]["actor"]["service"],
        looks[0]["actor"]["id"],
    )


def test_the_replica_is_sealed(world: World, patient_id: str) -> None:
    """The row tells nothing of what somebody is allergic to, nor whether to anything."""
    world.push(updated(patient_id, PENICILLIN), 3)
    (row,) = world.platform.databases["treatment"].all(
        "select listed from allergy_replicas where patient_id = :id", id=UUID(patient_id)
    )
    assert not {b"J01C", b"LISTED"} & set(row["listed"].split(b'"'))


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_order_of_news_is_never_believed_wrongly(world: World, data: st.DataObject) -> None:
    """However news is shuffled, doubled and lost: a list that is believed is the newest that was
    heard of, and one that was heard of is never replaced by an older one."""
    patient_id = str(uuid4())
    person = UUID(patient_id)
    kinds = data.draw(st.lists(st.booleans(), min_size=1, max_size=6))
    history = {
        version: updated(patient_id, {"name": f"Thing {version}"})
        if about_allergies
        else AnamnesisUpdated(patient_id=person)
        for version, about_allergies in enumerate(kinds, 2)
    }
    got = data.draw(st.lists(st.sampled_from(sorted(history)), min_size=1, max_size=10))
    for version in got:
        world.push(history[version], version)
    lists = [v for v, event in history.items() if isinstance(event, AllergiesUpdated)]

    def look(tx: Tx) -> None:
        row = replicas.lock(tx, person)
        assert row is not None
        assert max(got) == row["heard"]
        heard = [version for version in lists if version in got]
        if not replicas.trusted(row, clock().now()):
            return
        key = vault("treatment").subject(person, row["key_version"], row["key_wrapped"])
        newest = max(version for version in lists if version <= max(got))
        assert newest == max(heard)
        assert f"Thing {newest}" == replicas.listed(row, key).allergies[0].name

    world.platform.databases["treatment"].transaction(look, isolation="READ COMMITTED")


def test_a_list_that_commits_first_is_seen(world: World, patient_id: str) -> None:
    """A prescription waits for news that is being taken in, and is then checked against it."""
    db, person = world.platform.databases["treatment"].twin(), UUID(patient_id)
    answers: list[int] = []
    thread = threading.Thread(
        target=lambda: answers.append(world.prescribe(patient_id).status_code)
    )

    def follow(tx: Tx) -> None:
        key = vault("treatment").new_subject(tx, person)
        (line,) = updated(patient_id, PENICILLIN).allergies
        listed = Listed("LISTED", (Line(**line.model_dump()),))
        replicas.keep(tx, key, replicas.Told(person, 3, listed, clock().now()))
        thread.start()
        _until_somebody_waits(world)

    db.transaction(follow, isolation="READ COMMITTED")
    thread.join()
    db.close()
    assert [409] == answers


def test_many_races_end_in_one_order(world: World, patient_id: str) -> None:
    """However news and a prescription meet: either the news was seen, or the prescription says
    that it was checked against the list before."""
    asked = {"version": 2}
    for _ in range(8):
        version = asked["version"] + 1
        ready = threading.Barrier(2)
        answers: list[Any] = []

        def prescribe(ready: threading.Barrier = ready, answers: list[Any] = answers) -> None:
            ready.wait()
            answers.append(world.prescribe(patient_id))

        thread = threading.Thread(target=prescribe)
        thread.start()
        ready.wait()
        world.push(updated(patient_id, PENICILLIN), version)
        thread.join()
        (answer,) = answers
        if answer.status_code == 201:
            assert version - 1 == world.json(answer)["allergies_version"]
        else:
            assert "allergy-conflict" in world.json(answer)["type"]
        assert 409 == world.prescribe(patient_id).status_code
        world.push(updated(patient_id), version + 1)
        asked["version"] = version + 1


def _until_somebody_waits(world: World) -> None:
    """Until a transaction waits for the one that is open; fails after a while without any."""
    db = world.platform.databases["treatment"].twin()
    waits = "select 1 from pg_locks where not granted"
    end = time.monotonic() + 20
    while not db.all(waits):
        assert time.monotonic() < end, "nobody waits"
    db.close()
