"""Several dentists at one chart at once, and a chart that has grown long."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from functions.dental_records.domain.chart import Chart
from functions.dental_records.store.facts import CHARTS, SNAPSHOT, stream, then
from functions.dental_records.store.projection import PROJECTOR
from tests.dental_stack import CARIES, DentalStack
from tests.service_stack import stack_fixture

THREADS = 8

stack = stack_fixture(DentalStack)


def _at_once(request: Callable[[int], Any]) -> list[Any]:
    barrier, answers = threading.Barrier(THREADS), list[Any]()

    def run(number: int) -> None:
        barrier.wait()
        answers.append(request(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _folded(stack: DentalStack, patient: UUID) -> Chart:
    return CHARTS.load(stack.db, stream(patient), Chart(), then)[0]


def test_of_those_who_correct_at_once_one_wins(stack: DentalStack) -> None:
    """All have seen the same chart: one correction stands, the others are told to look again."""
    patient = stack.registered()
    problem = stack.diagnosed(patient)["problem_id"]
    path, codes = f"/{patient}/problems/{problem}", ("K02.0", "K02.2")
    answers = _at_once(
        lambda n: stack.send("PUT", path, {**CARIES, "code": codes[n % 2], "reason": "x"}, match=1)
    )
    assert Counter({412: THREADS - 1, 200: 1}) == Counter(a.status_code for a in answers)
    winner = next(a.json for a in answers if a.status_code == 200)
    assert winner == stack.ok("GET", path)
    assert 2 == stack.chart(patient)["version"]


def test_who_adds_at_once_is_written_one_after_the_other(stack: DentalStack) -> None:
    """Nobody is turned away who finds something, and all are told in the order of the chart."""
    patient = stack.registered()
    stack.told()
    answers = _at_once(
        lambda n: stack.send(
            "POST", f"/{patient}/problems", {**CARIES, "tooth": f"1{n + 1}"[:2], "surfaces": ["M"]}
        )
    )
    assert [201] * THREADS == [answer.status_code for answer in answers]
    assert list(range(1, THREADS + 1)) == sorted(
        env.metadata.aggregate_version or 0 for env in stack.told()
    )
    chart = stack.chart(patient)
    assert {f"1{n}" for n in range(1, 9)} == {row["tooth"] for row in chart["problems"]}
    assert THREADS == len(stack.ok("GET", f"/{patient}/problems")["items"])
    assert [] == PROJECTOR.check()


def test_a_repeated_request_at_once_is_carried_out_once(stack: DentalStack) -> None:
    """A key that is used many times at the same moment makes one record."""
    patient = stack.registered()
    key = {"Idempotency-Key": f"key-{patient}"}
    answers = _at_once(lambda _: stack.send("POST", f"/{patient}/problems", CARIES, headers=key))
    assert {201} == {a.status_code for a in answers} - {409}
    assert 1 == stack.chart(patient)["version"]


def test_a_long_chart_is_read_from_its_snapshot(stack: DentalStack) -> None:
    """Behind a snapshot the chart is the same as from the first fact on, corrections included."""
    patient = stack.registered()
    first = stack.diagnosed(patient)["problem_id"]
    for number in range(SNAPSHOT.every + 5):
        stack.diagnosed(patient, tooth=f"2{number % 8 + 1}", surfaces=["D"])
    version = stack.chart(patient)["version"]
    path = f"/{patient}/problems/{first}/entered-in-error"
    stack.ok("POST", path, {"reason": "x"}, match=version)
    kept = stack.db.one("select version from snapshots where id = :id", id=patient)
    assert kept is not None
    assert SNAPSHOT.every <= kept["version"]
    problems = stack.chart(patient)["problems"]
    folded = _folded(stack, patient)
    assert [(str(r.id), r.version) for r in folded.problems.values()] == [
        (row["problem_id"], row["version"]) for row in problems
    ]
    assert "ENTERED_IN_ERROR" == problems[0]["status"]


def test_the_lists_can_be_made_anew(stack: DentalStack) -> None:
    """A rebuild from the first fact on shows the same, and a row that was changed is found."""
    patient = stack.registered()
    problem = stack.diagnosed(patient)["problem_id"]
    stack.performed(patient, problem_ids=[problem])
    before = [stack.ok("GET", f"/{patient}/{kind}") for kind in ("problems", "interventions")]
    assert 0 < PROJECTOR.rebuild()
    after = [stack.ok("GET", f"/{patient}/{kind}") for kind in ("problems", "interventions")]
    assert before == after
    table = PROJECTOR.table(stack.db)
    stack.db.all(f"update {table} set tooth = '99' where problem_id = :id", id=problem)
    assert [("changed", ("tooth",))] == [(d.what, d.columns) for d in PROJECTOR.check()]
    stack.db.all(f"update {table} set tooth = '16' where problem_id = :id", id=problem)
    assert [] == PROJECTOR.check()
