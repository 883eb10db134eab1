"""Whatever is recorded in whatever order: the chart, its lists and its past say the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    multiple,
    rule,
    run_state_machine_as_test,
)

from functions.dental_records.store.facts import CHARTS, stream
from functions.dental_records.store.projection import PROJECTOR
from shared.testing import FrozenClock, frozen
from tests.dental_stack import DentalStack
from tests.service_stack import stack_fixture

TEETH = ("11", "16", "36", "55", "75", "11S")


@dataclass(frozen=True)
class _Record:
    """A record as the model has it."""

    teeth: tuple[str, ...]
    since: datetime
    linked: tuple[str, ...] = ()
    resolves: bool = False
    error: str | None = None


_Model = dict[str, _Record]
_Step = Callable[[_Model], None]


@dataclass
class _Fact:
    """What one request does to a model, and since when."""

    at: datetime
    apply: _Step


@dataclass
class _World:
    """One patient, and all facts in the order in which they were recorded."""

    stack: DentalStack
    clock: FrozenClock
    patient: UUID
    facts: list[_Fact] = field(default_factory=list)

    def model(self, until: int, as_of: datetime | None = None) -> _Model:
        """The records after ``until`` facts; of these, by what was so at ``as_of``."""
        facts = self.facts[:until]
        if as_of is not None:
            facts = sorted((f for f in facts if f.at <= as_of), key=lambda fact: fact.at)
        model: _Model = {}
        for fact in facts:
            fact.apply(model)
        return model

    def shown(self, model: _Model) -> dict[str, tuple[Any, ...]]:
        """What a chart of ``model`` shows."""
        resolved = {
            problem
            for record in model.values()
            if record.resolves and record.error is None
            for problem in record.linked
        }
        return {
            name: (record.teeth, record.error, name in resolved and record.error is None)
            for name, record in model.items()
        }


def _seen(problems: Any, interventions: Any) -> dict[str, tuple[Any, ...]]:
    found = {
        row["problem_id"]: ((row["tooth"],), row["error_reason"], row["status"] == "RESOLVED")
        for row in problems
    }
    for row in interventions:
        teeth = tuple(each["tooth"] for each in row["teeth"])
        found[row["intervention_id"]] = (teeth, row["error_reason"], False)
    return found


def _machine(stack: DentalStack) -> type[RuleBasedStateMachine]:
    class ToothChart(RuleBasedStateMachine):
        """Dentists find, do, correct and take back."""

        problems: Bundle[str] = Bundle("problems")
        interventions: Bundle[str] = Bundle("interventions")

        def __init__(self) -> None:
            super().__init__()
            self.clocks = frozen()
            self.world = _World(stack, self.clocks.__enter__(), stack.registered())

        def teardown(self) -> None:
            try:
                self.everything_agrees()
            finally:
                self.clocks.__exit__(None, None, None)

        def fact(self, apply: _Step, at: datetime | None = None) -> None:
            self.world.facts.append(_Fact(at or self.world.clock.now(), apply))
            self.world.clock.advance(timedelta(minutes=10))

        @rule(target=problems, tooth=st.sampled_from(TEETH), ago=st.integers(0, 25))
        def diagnose(self, tooth: str, ago: int) -> str:
            at = self.world.clock.now() - timedelta(minutes=ago)
            made = stack.diagnosed(
                self.world.patient, tooth=tooth, surfaces=["M"], diagnosed_at=at.isoformat()
            )
            name = str(made["problem_id"])
            self.fact(lambda model: model.update({name: _Record((tooth,), at)}), at)
            return name

        @rule(target=interventions, problem=problems, resolves=st.booleans())
        def treat(self, problem: str, resolves: bool) -> Any:
            record = self.world.model(len(self.world.facts))[problem]
            if record.error is not None:
                return multiple()
            made = stack.performed(
                self.world.patient,
                procedure="CROWN",
                teeth=[{"tooth": record.teeth[0]}],
                problem_ids=[problem],
                resolves=resolves,
            )
            name = str(made["intervention_id"])
            done = _Record(record.teeth, self.world.clock.now(), (problem,), resolves)
            self.fact(lambda model: model.update({name: done}))
            return name

        @rule(problem=problems, tooth=st.sampled_from(TEETH))
        def correct(self, problem: str, tooth: str) -> None:
            answer = stack.send(
                "PUT",
                f"/{self.world.patient}/problems/{problem}",
                {"tooth": tooth, "surfaces": ["D"], "code": "K02.5", "reason": "moved"},
                match=len(self.world.facts),
            )
            record = self.world.model(len(self.world.facts))[problem]
            wrong = record.error is not None
            assert (409 if wrong else 200) == answer.status_code
            if not wrong:
                self.fact(
                    lambda model: model.update({problem: replace(model[problem], teeth=(tooth,))}),
                    record.since,
                )

        def take_back(self, kind: str, name: str) -> None:
            path = f"/{self.world.patient}/{kind}/{name}/entered-in-error"
            stack.ok("POST", path, {"reason": "an error"}, match=len(self.world.facts))
            since = self.world.model(len(self.world.facts))[name].since
            self.fact(
                lambda model: model.update({name: replace(model[name], error="an error")}), since
            )

        @rule(problem=problems)
        def take_back_problem(self, problem: str) -> None:
            if self.world.model(len(self.world.facts))[problem].error is None:
                self.take_back("problems", problem)

        @rule(intervention=consumes(interventions))
        def take_back_intervention(self, intervention: str) -> None:
            self.take_back("interventions", intervention)

        @rule(part=st.floats(0, 1))
        def look_back(self, part: float) -> None:
            """A chart of the past is the fold of what was so by then."""
            until = int(part * len(self.world.facts))
            if until == 0:
                return
            at = self.world.facts[until - 1].at
            chart = stack.chart(self.world.patient, f"?as_of={quote(at.isoformat())}")
            expected = self.world.model(len(self.world.facts), at)
            assert self.world.shown(expected) == _seen(chart["problems"], chart["interventions"])

        @rule(part=st.floats(0, 1))
        def look_at_what_was_known(self, part: float) -> None:
            """A chart of what was known is the fold of what had been recorded."""
            until = int(part * len(self.world.facts))
            if until == 0:
                return
            told = CHARTS.history(stack.db, stream(self.world.patient), until_version=until)[-1]
            query = f"?known_at={quote(told.recorded_at.isoformat())}"
            chart = stack.chart(self.world.patient, query)
            assert until == chart["version"]
            expected = self.world.model(until)
            assert self.world.shown(expected) == _seen(chart["problems"], chart["interventions"])

        def everything_agrees(self) -> None:
            """The model, the fold of the facts and the lists."""
            expected = self.world.shown(self.world.model(len(self.world.facts)))
            patient = self.world.patient
            chart = stack.chart(patient)
            assert len(self.world.facts) == chart["version"]
            assert expected == _seen(chart["problems"], chart["interventions"])
            lists = (
                stack.ok("GET", f"/{patient}/{kind}?limit=200")["items"]
                for kind in ("problems", "interventions")
            )
            assert expected == _seen(*lists)

    return ToothChart


stack = stack_fixture(DentalStack)


def test_any_history_has_one_chart(stack: DentalStack) -> None:
    """The chart is the fold of its facts, the lists say the same, a chart of the past is the fold
    of what was so or known then, and a rebuild changes nothing."""
    run_state_machine_as_test(
        _machine(stack),
        settings=settings(
            max_examples=25,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert [] == PROJECTOR.check()
