"""The rules of sagas, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.errors import Conflict
from shared.inbox import Subscriptions
from shared.saga import Orchestrator, Retry, Saga, SagaData, Step
from shared.testing import SagaTest
from tests import saga_contracts as c

START = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
THING = UUID("01980000-0000-7000-8000-000000000001")
SECONDS = timedelta(seconds=1)


def started(saga: Saga | None = None) -> SagaTest:
    """The saga of these tests, with its first command sent."""
    return SagaTest(saga or c.opening(), START).given(thing=THING)


def at_pivot() -> SagaTest:
    """Everything before the pivot is done."""
    return started().reply().reply().reply().expect(c.SettleAlpha(thing=THING))


def test_happy_path() -> None:
    """Each answer sends the next command, the last one completes the saga."""
    test = started().expect(c.OpenAlpha(thing=THING)).reply()
    test.expect(c.OpenBeta(thing=THING)).reply().expect(c.OpenGamma(thing=THING)).reply()
    test.expect(c.SettleAlpha(thing=THING)).reply().expect(c.GreetGamma(thing=THING)).reply()
    test.expect_nothing().ended("COMPLETED")
    assert {"DONE"} == set(test.states.values())


def test_refusal_compensates_in_reverse() -> None:
    """A refusal before the pivot undoes what was done, latest first, not what was refused."""
    test = started().reply().reply().expect(c.OpenGamma(thing=THING)).reply(Conflict)
    test.expect(c.CloseBeta(thing=THING)).reply().expect(c.CloseAlpha(thing=THING)).reply()
    test.expect_nothing().ended("FAILED")
    assert ["UNDONE", "UNDONE", "REFUSED", "SKIPPED", "SKIPPED"] == list(test.states.values())


def test_refused_first_step_fails_at_once() -> None:
    """Where nothing was done there is nothing to undo."""
    started().reply(Conflict).expect_nothing().ended("FAILED")


def test_silence_compensates_the_silent_step_too() -> None:
    """When attempts are used up nobody knows what happened, so that step is undone as well."""
    test = started().reply().expect(c.OpenBeta(thing=THING))
    test.wait(10 * SECONDS).expect(c.OpenBeta(thing=THING))
    test.wait(20 * SECONDS).expect(c.OpenBeta(thing=THING))
    test.wait(40 * SECONDS).expect(c.CloseBeta(thing=THING)).reply()
    test.expect(c.CloseAlpha(thing=THING)).reply().ended("FAILED")


def test_nothing_happens_before_its_time() -> None:
    """The schedule may look as often as it likes."""
    started().wait(9 * SECONDS).expect_nothing().wait(SECONDS).expect(c.OpenAlpha(thing=THING))


def test_deadline_compensates_before_the_pivot() -> None:
    """A saga whose time is up is undone, the step at hand included."""
    test = started().reply().wait(timedelta(minutes=15))
    test.expect(c.CloseBeta(thing=THING)).reply().expect(c.CloseAlpha(thing=THING))


def test_answer_after_the_deadline_does_not_go_on() -> None:
    """An answer that comes after the deadline leads back, not to the next step."""
    test = started().reply(after=timedelta(minutes=15))
    test.expect(c.CloseAlpha(thing=THING)).reply().ended("FAILED")


def test_deadline_spares_a_sent_pivot() -> None:
    """Once the pivot was sent the deadline changes nothing."""
    at_pivot().wait(timedelta(hours=1)).expect(c.SettleAlpha(thing=THING)).reply().reply().ended(
        "COMPLETED"
    )


def test_refused_pivot_is_repeated_then_parked() -> None:
    """From the pivot on a refusal is tried anew, and a person is asked when that is no use."""
    test = at_pivot().reply(Conflict).expect_nothing()
    test.wait(10 * SECONDS).expect(c.SettleAlpha(thing=THING)).reply(Conflict).expect_nothing()
    test.wait(20 * SECONDS).expect(c.SettleAlpha(thing=THING)).reply(Conflict)
    test.expect_nothing().ended("PARKED")
    test.resume().expect(c.SettleAlpha(thing=THING)).reply().reply().ended("COMPLETED")


def test_refused_undo_is_repeated_then_parked() -> None:
    """An undo is never given up: it is tried anew, then waits for a person."""
    test = started().reply().reply(Conflict)
    for wait in (10, 20):
        test.expect(c.CloseAlpha(thing=THING)).reply(Conflict).expect_nothing()
        test.wait(wait * SECONDS)
    test.reply(Conflict).ended("PARKED")
    test.resume().expect(c.CloseAlpha(thing=THING)).reply().ended("FAILED")


def test_answer_to_a_parked_saga_lets_it_go_on() -> None:
    """A late success of the very step a saga was parked for ends the waiting."""
    test = at_pivot().wait(10 * SECONDS).wait(20 * SECONDS).wait(40 * SECONDS).ended("PARKED")
    test.reply().expect(c.GreetGamma(thing=THING))


@pytest.mark.parametrize("silent", [False, True])
def test_optional_failure_changes_nothing(silent: bool) -> None:
    """A refused or silent optional step leaves the saga complete."""
    test = at_pivot().reply().expect(c.GreetGamma(thing=THING))
    if silent:
        test.wait(10 * SECONDS).wait(20 * SECONDS).wait(40 * SECONDS)
    else:
        test.reply(Conflict)
    test.expect_nothing().ended("COMPLETED")
    assert ("SKIPPED" if silent else "REFUSED") == test.states["greet"]


def test_silent_optional_step_is_undone_on_the_way_back() -> None:
    """An optional step that may have taken effect is undone with the others."""
    optional = Step(
        "maybe", do=c.OpenBeta, undo=c.CloseBeta, optional=True, retry=Retry(attempts=1)
    )
    saga = Saga("s", optional, Step("must", do=c.OpenGamma, undo=c.CloseGamma))
    test = started(saga).wait(5 * SECONDS).expect(c.OpenGamma(thing=THING)).reply(Conflict)
    test.expect(c.CloseBeta(thing=THING)).reply().ended("FAILED")


def test_step_timeout_ends_its_attempts() -> None:
    """A step's own timeout ends it before its attempts are used up."""
    saga = Saga("s", Step("x", do=c.OpenBeta, undo=c.CloseBeta, timeout=7 * SECONDS))
    test = started(saga).wait(5 * SECONDS).expect(c.OpenBeta(thing=THING))
    test.wait(2 * SECONDS).expect(c.CloseBeta(thing=THING))


def test_pauses_double_up_to_the_longest() -> None:
    """Repetitions become rarer, with a limit, and do not overflow."""
    retry = Retry(every=SECONDS, longest=5 * SECONDS)
    assert [1, 2, 4, 5, 5] == [retry.pause(n).seconds for n in (1, 2, 3, 4, 5000)]


def build_beta(data: SagaData) -> c.OpenBeta:
    """A builder that says what it returns."""
    return c.OpenBeta(thing=data["thing"], secret="built")


def test_builders_may_be_functions() -> None:
    """A step's command may be built by an annotated function of the data."""
    saga = Saga("s", Step("x", do=build_beta, undo=c.CloseBeta))
    started(saga).expect(c.OpenBeta(thing=THING, secret="built"))


def unclear(data: SagaData) -> Any:
    """A builder that does not say what it returns."""


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([], "names of their own"),
        ([Step("x", do=c.SettleAlpha, pivot=True)] * 2, "names of their own"),
        ([Step("x", do=c.OpenBeta)], "needs an undo"),
        ([Step(n, do=c.SettleAlpha, pivot=True) for n in "xy"], "more than one pivot"),
        ([Step("x", do=c.OpenBeta, undo=c.CloseBeta, pivot=True)], "nothing is undone"),
        ([Step("x", do=c.OpenBeta, pivot=True, optional=True)], "not optional"),
        ([Step("x", do=c.OpenBeta, undo=c.CloseGamma)], "must undo it"),
        ([Step("x", do=unclear, undo=c.CloseGamma)], "annotate"),
        ([Step("x", do=c.OpenBeta, undo=c.CloseBeta, retry=Retry(attempts=0))], "one attempt"),
    ],
)
def test_impossible_definitions_fail_at_import(steps: list[Step], reason: str) -> None:
    """A definition that could not be carried out is refused where it is written."""
    with pytest.raises(TypeError, match=reason):
        Saga("s", *steps)


def test_fingerprint_tells_definitions_apart() -> None:
    """What a saga under way depends on is in the fingerprint; pauses and deadlines are not."""
    other = Saga("opening", *c.opening().steps[:-1])
    assert c.opening().fingerprint == c.opening(deadline=None).fingerprint
    assert c.opening().fingerprint != other.fingerprint


def test_unbound_saga_says_so() -> None:
    """Starting a saga that belongs to no service names the mistake."""
    with pytest.raises(RuntimeError, match="belongs to no service"):
        c.opening().start(None, data={}, subject=THING)  # type: ignore[arg-type]


def test_orchestrator_needs_the_local_handlers() -> None:
    """A local step nobody handles fails at import, not in the first saga."""
    with pytest.raises(TypeError, match="does not handle"):
        Orchestrator("alpha", [c.opening()], Subscriptions("alpha"), lambda: None)  # type: ignore[arg-type,return-value]


def test_topics_are_the_participants() -> None:
    """A saga hears its participants on the topics of their contracts."""
    assert {"alpha", "beta", "gamma"} == c.opening().topics
