"""What dental_records performs completes items of plans, in whatever order its messages come."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.contracts.dental_records import ToothInterventionPerformed, ToothRecordCorrected
from shared.contracts.patient import PatientRegistered
from shared.messages import Event
from tests.service_stack import world_fixture
from tests.treatment_world import World, item, plan, quiet_fixture

world = world_fixture(World)
quiet = quiet_fixture()


def somebody(world: World) -> str:
    """A patient whom treatment has heard of."""
    patient_id = uuid4()
    world.hear(PatientRegistered(patient_id=patient_id), 1)
    return str(patient_id)


def performed(patient_id: str, treatment_item: str | None, intervention: UUID) -> Event:
    """Something was done for an item."""
    return ToothInterventionPerformed(
        patient_id=UUID(patient_id),
        intervention_id=intervention,
        teeth=["36"],
        problem_ids=[],
        treatment_item_id=None if treatment_item is None else UUID(treatment_item),
        performer_id=uuid4(),
        performed_at=datetime(2026, 3, 1, 10, tzinfo=UTC),
    )


def in_error(patient_id: str, treatment_item: str | None, intervention: UUID) -> Event:
    """It was not done after all."""
    return ToothRecordCorrected(
        patient_id=UUID(patient_id),
        record_id=intervention,
        record="intervention",
        entered_in_error=True,
        treatment_item_id=None if treatment_item is None else UUID(treatment_item),
    )


def ids(made: dict[str, Any]) -> list[str]:
    """The items of a plan."""
    return [one["item_id"] for phase in made["phases"] for one in phase["items"]]


def agreed(world: World, *items: dict[str, Any]) -> tuple[str, list[str]]:
    """Ana's plan, agreed to; its items."""
    made = world.offer(*items)
    assert 200 == world.accept(made["treatment_id"]).status_code
    world.sent()
    return made["treatment_id"], ids(made)


def test_a_plan_is_completed_with_its_last_item(world: World) -> None:
    """What is done moves its price to what it cost so far; the last item completes the plan."""
    identity, (first, second) = agreed(world, item(100), item(250))
    world.hear(performed(world.patient_id, first, uuid4()), 1)
    now = world.shown(identity)
    assert ("ACCEPTED", {"so_far": 100, "to_come": 250, "total": 350}) == (
        now["status"],
        now["costs"],
    )
    done = now["phases"][0]["items"][0]
    assert (True, "2026-03-01T10:00:00Z") == (done["done"], done["performed_at"])
    assert [] == world.sent()
    world.hear(performed(world.patient_id, second, uuid4()), 2)
    now = world.shown(identity)
    assert ("COMPLETED", 350) == (now["status"], now["costs"]["so_far"])
    assert ["TREATMENT_COMPLETED"] == world.sent()
    refused = world.treat("PUT", f"/{identity}/plan", plan(item()), match=now["version"])
    assert "plan-completed" in world.json(refused)["type"]


def test_a_message_twice_is_one_effect(world: World) -> None:
    """The same message again, or the same intervention told again, changes nothing more."""
    identity, (only,) = agreed(world, item(100))
    message, event_id = performed(world.patient_id, only, uuid4()), uuid4()
    for _ in range(2):
        world.hear(message, 1, event_id)
    world.hear(message, 1)
    assert 100 == world.shown(identity)["costs"]["so_far"]
    assert ["TREATMENT_COMPLETED"] == world.sent()


def test_what_was_entered_in_error_was_not_done(world: World) -> None:
    """A correction takes the item back and the plan with it; done again, it is completed again."""
    identity, (only,) = agreed(world, item(100))
    wrong = uuid4()
    world.hear(performed(world.patient_id, only, wrong), 1)
    world.hear(in_error(world.patient_id, only, wrong), 2)
    now = world.shown(identity)
    assert ("ACCEPTED", 100) == (now["status"], now["costs"]["to_come"])
    world.hear(performed(world.patient_id, only, uuid4()), 3)
    assert "COMPLETED" == world.shown(identity)["status"]
    assert ["TREATMENT_COMPLETED", "TREATMENT_COMPLETED"] == world.sent()


@pytest.mark.parametrize("named", [True, False])
def test_a_correction_may_come_first(world: World, *, named: bool) -> None:
    """An intervention that comes after its correction stays in error, named there or not."""
    identity, (only,) = agreed(world, item(100))
    wrong = uuid4()
    world.hear(in_error(world.patient_id, only if named else None, wrong), 2)
    world.hear(performed(world.patient_id, only, wrong), 1)
    assert ("ACCEPTED", 0) == (
        world.shown(identity)["status"],
        world.shown(identity)["costs"]["so_far"],
    )


def test_an_item_done_twice_is_done_until_both_are_taken_back(world: World) -> None:
    """Two interventions for one item cost once; one of them in error leaves the other."""
    identity, (only,) = agreed(world, item(100))
    first, second = uuid4(), uuid4()
    world.hear(performed(world.patient_id, only, first), 1)
    world.hear(performed(world.patient_id, only, second), 2)
    world.hear(in_error(world.patient_id, only, first), 3)
    assert ("COMPLETED", 100) == (
        world.shown(identity)["status"],
        world.shown(identity)["costs"]["so_far"],
    )
    world.hear(in_error(world.patient_id, only, second), 4)
    assert "ACCEPTED" == world.shown(identity)["status"]


def test_an_intervention_may_come_before_its_item(world: World) -> None:
    """What was done for an item that nobody knows here yet counts as soon as the item is there."""
    identity, _ = agreed(world, item(100))
    later = uuid4()
    world.hear(performed(world.patient_id, str(later), uuid4()), 1)
    db = world.platform.databases["treatment"]
    db.all(
        "insert into treatment_items (item_id, treatment_id, patient_id, price, current)"
        " values (:item, :plan, :patient, 40, true)",
        item=later,
        plan=UUID(identity),
        patient=UUID(world.patient_id),
    )
    assert {"so_far": 40, "to_come": 100, "total": 140} == world.shown(identity)["costs"]


def test_another_patient_s_intervention_completes_nothing(world: World) -> None:
    """An item is done by what was done to its own patient."""
    identity, (only,) = agreed(world, item(100))
    world.hear(performed(somebody(world), only, uuid4()), 1)
    assert 0 == world.shown(identity)["costs"]["so_far"]


def test_what_is_for_no_item_is_nothing_to_a_plan(world: World) -> None:
    """Most of what is done to teeth belongs to no plan, and problems are corrected elsewhere."""
    identity, _ = agreed(world, item(100))
    world.hear(performed(world.patient_id, None, uuid4()), 1)
    problem = ToothRecordCorrected(
        patient_id=UUID(world.patient_id),
        record_id=uuid4(),
        record="problem",
        entered_in_error=True,
    )
    world.hear(problem, 2)
    assert 0 == world.shown(identity)["costs"]["so_far"]


def test_consent_comes_after_the_work(world: World) -> None:
    """Work without consent costs, but does not complete the plan; the consent then does."""
    made = world.offer(item(100))
    (only,) = ids(made)
    world.hear(performed(world.patient_id, only, uuid4()), 1)
    now = world.shown(made["treatment_id"])
    assert ("OFFERED", 100) == (now["status"], now["costs"]["so_far"])
    assert "COMPLETED" == world.json(world.accept(made["treatment_id"]))["status"]
    assert ["TREATMENT_PLANNED", "TREATMENT_ACCEPTED", "TREATMENT_COMPLETED"] == world.sent()


def test_what_is_done_stays_in_the_plan(world: World) -> None:
    """A new version must have what was done as it was agreed; what is open may go or change."""
    identity, (done, open_) = agreed(world, item(100), item(250))
    world.hear(performed(world.patient_id, done, uuid4()), 1)
    version, path = world.shown(identity)["version"], f"/{identity}/plan"
    for wrong in (plan(item(250, item_id=open_)), plan(item(99, item_id=done))):
        refused = world.treat("PUT", path, wrong, match=version)
        assert (409, [done]) == (refused.status_code, world.json(refused)["items"])
    fine = world.treat("PUT", path, plan(item(100, item_id=done)), match=version)
    assert ("OFFERED", {"so_far": 100, "to_come": 0, "total": 100}) == (
        world.json(fine)["status"],
        world.json(fine)["costs"],
    )


def test_what_was_done_and_dropped_still_costs(world: World) -> None:
    """News of work may come after a version without it: what was done is paid for."""
    identity, (kept, dropped) = agreed(world, item(100), item(250))
    version = world.shown(identity)["version"]
    world.treat("PUT", f"/{identity}/plan", plan(item(100, item_id=kept)), match=version)
    world.hear(performed(world.patient_id, dropped, uuid4()), 1)
    assert {"so_far": 250, "to_come": 100, "total": 350} == world.shown(identity)["costs"]


def test_a_message_without_a_version_is_set_aside(world: World) -> None:
    """Without the record's version nobody knows what is newer: an operator has to look."""
    _, (only,) = agreed(world, item(100))
    world.hear(performed(world.patient_id, only, uuid4()), None)
    letters = world.json(world.treat("GET", "/-/dead-letters", by=world.admin))["items"]
    assert "TOOTH_INTERVENTION_PERFORMED" == letters[0]["event_type"]


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_order_of_messages_ends_alike(world: World, data: st.DataObject) -> None:
    """However messages are shuffled and doubled, the plan ends as if they had come in order."""
    identity, (first, second) = agreed(world, item(100), item(250))
    one, two = uuid4(), uuid4()
    history = [
        (1, performed(world.patient_id, first, one)),
        (2, in_error(world.patient_id, first, one)),
        (3, performed(world.patient_id, second, two)),
    ]
    if data.draw(st.booleans()):
        history.append((4, performed(world.patient_id, first, uuid4())))
    doubled = list(itertools.chain(history, data.draw(st.lists(st.sampled_from(history)))))
    for version, message in data.draw(st.permutations(doubled)):
        world.hear(message, version)
    done = len(history) == 4
    now = world.shown(identity)
    assert ("COMPLETED" if done else "ACCEPTED", 350 if done else 250) == (
        now["status"],
        now["costs"]["so_far"],
    )
