"""Rounds of random faults: any process is ended or frozen at any moment, PostgreSQL included."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

from infra.chaos.matrix import Matrix, Result
from infra.chaos.people import Patient, Visitor, at_once, somebody
from infra.chaos.scenarios import SCENARIOS, Scenario, register

__all__ = ["random_round"]

_PEOPLE = 5  # in each scenario
_SECONDS = 8.0  # over which they come
_FAULTS = 6


def random_round(matrix: Matrix, seed: int, number: int) -> Result:
    """All scenarios at once while processes die or stand still, alone or together."""
    name = f"{seed}.r{number}"
    chance = random.Random(name)  # nosec B311
    result = Result("all at once", "anywhere", "any", "random", seed=name, hit=True)
    crowds: list[tuple[Scenario, list[Patient]]] = []
    for place, kind in enumerate(SCENARIOS):
        patients = [somebody(f"r{seed}.{number}.{place}", n) for n in range(_PEOPLE)]
        if kind.settled:
            result.anomalies += at_once(matrix.stack, patients, register)[1]
        crowds.append((matrix.scenario(kind.name), patients))
    matrix.settle(result)
    with ThreadPoolExecutor(len(crowds)) as pool:
        traffic = [
            pool.submit(_come, scenario, patients, chance.getrandbits(32))
            for scenario, patients in crowds
        ]
        done = _break(matrix, chance)
        started = time.monotonic()
        for each in traffic:
            asked, refused = each.result()
            result.operations += asked
            result.anomalies += refused
    result.process = ", ".join(dict.fromkeys(done))
    matrix.settle(result, since=started)
    matrix.judge(result, crowds)
    return result


def _come(scenario: Scenario, patients: list[Patient], seed: int) -> tuple[int, list[str]]:
    """Everybody does their thing, each at a moment of their own."""
    chance = random.Random(seed)  # nosec B311
    moments = {patient.number: chance.uniform(0, _SECONDS) for patient in patients}

    def later(visitor: Visitor, patient: Patient) -> None:
        time.sleep(moments[patient.number])
        scenario.act(visitor, patient)

    return at_once(scenario.stack, patients, later)


def _break(matrix: Matrix, chance: random.Random) -> list[str]:
    """Several faults, one after the other; what happened to whom. Afterwards everything runs."""
    stack, done = matrix.stack, []
    for _ in range(_FAULTS):
        time.sleep(chance.uniform(0, _SECONDS / _FAULTS))
        names = chance.sample(stack.names, chance.choice((1, 1, 1, 2, 3)))
        if chance.random() < 0.6:
            for name in names:
                stack.kill(name)
            time.sleep(chance.uniform(0, 1))
            # PostgreSQL first: the others wait for it.
            for name in sorted(names, key=lambda name: name != "postgres"):
                stack.start_process(name)
            done += [f"{name} killed" for name in names]
        else:
            frozen = [name for name in names if name != "postgres"]
            for name in frozen:
                stack.pause(name)
            time.sleep(chance.uniform(0.2, 3))
            for name in frozen:
                stack.resume(name)
            done += [f"{name} frozen" for name in frozen]
    stack.wait_healthy()
    return done
