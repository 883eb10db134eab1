"""A stranger's copy of the repository: a first start with nothing set up, and a new service."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.preflight import free_port
from infra.manifest import ROOT

pytestmark = pytest.mark.long

_SCRUBBED = {name: os.environ[name] for name in ("PATH", "HOME")}


@pytest.fixture
def copy() -> Iterator[Path]:
    """The repository's files, without history, packages and data."""
    place = Path(tempfile.mkdtemp(prefix="dentalhelp-copy-"))
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def _make(copy: Path, *arguments: str, timeout: float = 1800) -> str:
    ran = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=copy,
        env=_SCRUBBED,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    return ran.stdout


def _serve(copy: Path, path: str, seconds: float) -> int:
    """The status of ``path`` in a ``make run`` of ``copy``, which is stopped again."""
    port = free_port()
    output = copy / "run.out"
    with output.open("wb") as out:
        running = subprocess.Popen(
            ["make", "--no-print-directory", "run", f"PORT={port}"],
            cwd=copy,
            env=_SCRUBBED,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + seconds
        while "DentalHelp runs" not in output.read_text():
            assert running.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return int(answer.status)
    finally:
        os.killpg(running.pid, signal.SIGINT)
        running.wait(timeout=120)


def test_a_new_service_is_ready(copy: Path) -> None:
    """make new-service writes one that passes all checks and its tests, and answers."""
    (copy / ".venv").symlink_to(ROOT / ".venv")
    _make(copy, "new-service", "NAME=lab_order")
    _make(copy, "check")
    _make(copy, "test", "ARGS=tests/integration/test_lab_order.py")
    assert 200 == _serve(copy, "/api/lab-order/-/health", 300)
    assert 200 == _serve(copy, "/docs/lab_order", 300)


def test_a_first_start_needs_python_and_make_only(copy: Path) -> None:
    """With nothing but PATH and HOME set, make run installs what it needs and serves."""
    assert 200 == _serve(copy, "/api/auth/-/health", 1800)
