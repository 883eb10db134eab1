"""The demo and the sample data against a platform of their own, as a newcomer runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.demo import STEPS
from infra.local.preflight import free_port
from infra.local.stack import Stack
from infra.manifest import service_names

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A platform as ``make run`` starts it."""
    with (
        tempfile.TemporaryDirectory(prefix="dh-", ignore_cleanup_errors=True) as directory,
        Stack(Path(directory)) as running,
    ):
        yield running


def _run(module: str, stack: Stack | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """``python -m module`` against ``stack``."""
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", **more}
    if stack is not None:
        variables |= {"URL": stack.url, "ADMIN_FILE": str(stack.directory / "admin.json")}
    return subprocess.run(
        [sys.executable, "-m", module],
        env=variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.fixture(scope="module")
def told(stack: Stack) -> list[subprocess.CompletedProcess[str]]:
    """The demo, told twice to one platform."""
    return [_run("infra.demo", stack) for _ in range(2)]


def test_the_demo_is_as_told_however_often(
    told: list[subprocess.CompletedProcess[str]],
) -> None:
    """Told twice to one platform, every step holds both times."""
    for each in told:
        assert (0, "") == (each.returncode, each.stderr), each.stdout
        assert f"All {len(STEPS)} steps are as told" in each.stdout


def test_no_service_and_no_stage_of_a_visit_is_left_out(
    told: list[subprocess.CompletedProcess[str]],
) -> None:
    """The story erases in every service, and on the way tells of all that a clinic day has."""
    said = told[-1].stdout.partition("wants to be forgotten")
    for service in service_names():
        assert re.search(rf"^ +{service}: (ERASED|HELD), \d+ rows$", said[2], re.M), service
    for words in (
        "instead:",
        "accepts",
        "SEQUENCE",
        "reception checks in",
        "the same as were sent",
        "to come: 0.00 RON",
        "speaks against it: penicilină",
        "says yes by it",
        "each with the SHA-256 of the manifest",
    ):
        assert words in said[0], words
    assert "held: events until" in said[2]
    assert "a changed receipt is not valid" in said[2]
    assert "nothing of it names the person" in said[2]


def test_sample_data_is_filled_in(stack: Stack) -> None:
    """A run makes everybody with their year, counts all of it, and finds that it agrees; twenty
    people have their part of what 10,000 have."""
    filled = _run("infra.seed", stack, COUNT="20")
    assert (0, "") == (filled.returncode, filled.stderr), filled.stdout
    assert "20 new, 0 there already" in filled.stdout
    for line in ("100 problems", "60 interventions", "100 xrays", "30 treatments"):
        assert re.search(rf"^ +{line} of the past$", filled.stdout, re.M), line
    assert "validate, replay-check and audit-verify are clean" in filled.stdout
    assert "RECEPTIONIST" in filled.stdout
    assert "DENTIST" in filled.stdout


def test_nothing_there_is_one_clear_line() -> None:
    """Where no platform runs, both say so in one line and fail."""
    url = f"http://127.0.0.1:{free_port()}"
    for module in ("infra.demo", "infra.seed"):
        told = _run(module, URL=url)
        assert 1 == told.returncode
        assert 1 == len(told.stderr.splitlines())
        assert "make run" in told.stderr


def test_a_missed_step_is_named(stack: Stack, tmp_path: Path) -> None:
    """With an administrator's wrong password the demo names the step that misses."""
    wrong = tmp_path / "admin.json"
    wrong.write_text('{"email": "admin@dentalhelp.example", "password": "not the right one"}')
    told = _run("infra.demo", URL=stack.url, ADMIN_FILE=str(wrong))
    assert 1 == told.returncode
    assert "Missed at step 2, The administrator opens a clinic" in told.stderr
    assert "answered 401, not 200" in told.stderr
