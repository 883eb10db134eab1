"""The demo and the sample data against a platform of their own, as a newcomer runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.preflight import free_port
from infra.local.stack import Stack

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
        timeout=120,
        check=False,
    )


def test_the_demo_is_as_told_however_often(stack: Stack) -> None:
    """Told twice to one platform, every step holds both times."""
    for _ in range(2):
        told = _run("infra.demo", stack)
        assert (0, "") == (told.returncode, told.stderr), told.stdout
        assert "steps are as told" in told.stdout


def test_sample_data_is_filled_in_once(stack: Stack) -> None:
    """A first run makes everybody, a second finds them there; both verify every person."""
    first, second = (_run("infra.seed", stack, COUNT="50") for _ in range(2))
    assert (0, 0) == (first.returncode, second.returncode), first.stderr + second.stderr
    assert "50 new, 0 there already" in first.stdout
    assert "0 new, 50 there already" in second.stdout
    assert "RECEPTIONIST" in first.stdout
    assert "DENTIST" in first.stdout


def test_nothing_there_is_one_clear_line() -> None:
    """Where no platform runs, both say so in one line and fail."""
    for module in ("infra.demo", "infra.seed"):
        told = _run(module, URL=f"http://127.0.0.1:{free_port()}")
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
