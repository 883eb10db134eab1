"""``make run`` as a person uses it: start, stop, kill -9, start again; every fault one line."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.local.preflight import check_port, exclusive, free_port
from infra.manifest import ROOT

_START = 300.0  # seconds; the machine may be slow and busy
_END = 120.0


class Run:
    """One ``make run`` in a data directory and on a port of its own."""

    def __init__(self, data: Path, **variables: str) -> None:
        self.port = int(variables.pop("PORT", "") or free_port())
        self.data = data
        self.output = data.parent / f"{data.name}.out"
        self.url = f"http://127.0.0.1:{self.port}"
        given = {"PORT": str(self.port), "DATA": str(data)} | variables
        with self.output.open("wb") as out:
            self.make = subprocess.Popen(
                ["make", "--no-print-directory", "run", *(f"{k}={v}" for k, v in given.items())],
                cwd=ROOT,
                env={name: os.environ[name] for name in ("PATH", "HOME")},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self.output.read_text()

    def ready(self) -> Run:
        """Wait for the banner."""
        deadline = time.monotonic() + _START
        while "DentalHelp runs" not in self.said:
            assert self.make.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)
        return self

    def stop(self, sig: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C: the signal reaches everybody in the terminal. The exit code of make."""
        os.killpg(self.make.pid, sig)
        return self.make.wait(timeout=_END)

    def family(self) -> list[psutil.Process]:
        """make and everything it started, PostgreSQL excepted."""
        make = psutil.Process(self.make.pid)
        return [make, *make.children(recursive=True)]


def _left(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those that do not end by themselves; what nobody has buried has ended, too."""
    _, alive = psutil.wait_procs(family, timeout=_END)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def _get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def _login(run: Run) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{run.url}/api/auth/login",
        (run.data / "admin.json").read_bytes(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """The data directory that the starts of this module share.

    Outside pytest's own directory, which every new session closes to all users but its own: as
    root, PostgreSQL runs as another user.
    """
    place = Path(tempfile.mkdtemp(prefix="dentalhelp-run-"))
    yield place / "data"
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def run(data: Path) -> Iterator[Run]:
    """A running platform."""
    running = Run(data).ready()
    yield running
    if running.make.poll() is None:
        running.stop()


def test_the_first_start_serves_and_ctrl_c_stops(run: Run) -> None:
    """Everything answers, the administrator logs in, and Ctrl-C leaves nothing behind."""
    admin = run.data / "admin.json"
    assert 0o600 == stat.S_IMODE(admin.stat().st_mode)
    assert {"email", "password"} == set(json.loads(admin.read_text()))
    for path in ("/", "/docs/auth", "/api/auth/-/health", "/api/auth/-/openapi.json"):
        assert 200 == _get(run.url + path)
    assert "Bearer" == _login(run)["token_type"]
    family = run.family()
    run.stop()
    assert "Stopped. The data is kept." in run.said
    assert [] == _left(family)


def test_data_survives_a_kill(run: Run) -> None:
    """After a kill -9 of the platform nothing of it is left, and the next start has all data."""
    _login(run)
    family = run.family()
    stack = next(p for p in family if "infra.local.run" in p.cmdline())
    stack.kill()
    assert [] == _left([p for p in family if p.pid != run.make.pid])
    run.make.wait(timeout=_END)
    again = Run(run.data, PORT=str(run.port)).ready()
    assert "access_token" in _login(again)
    again.stop()


def test_whoever_kills_make_stops_the_platform(run: Run) -> None:
    """A kill -9 of make frees the port and the data directory, too."""
    others = [p for p in run.family() if p.pid != run.make.pid]
    run.make.kill()
    run.make.wait()
    assert [] == _left(others)
    check_port(run.port)
    with exclusive(run.data, "the test"):
        pass


def test_a_dead_child_is_replaced(run: Run) -> None:
    """The web server ended with -9 is back within seconds, and the console says so."""
    web = next(p for p in run.family() if "infra.local.server" in p.cmdline())
    web.kill()
    deadline = time.monotonic() + _END
    while "web was killed" not in run.said:
        assert time.monotonic() < deadline, run.said
        time.sleep(0.05)
    while _health(run) != 200:
        assert time.monotonic() < deadline, run.said
        time.sleep(0.05)


def _health(run: Run) -> int:
    """The status of a health route; 0: nobody answers."""
    try:
        return _get(f"{run.url}/api/auth/-/health")
    except (OSError, http.client.HTTPException):
        return 0


def test_a_second_run_on_the_same_data_is_refused(run: Run) -> None:
    """Two platforms on one directory would each believe it theirs."""
    assert _refused(run.data) == [
        f"DentalHelp already runs on this data directory ({run.url}, process"
        f" {next(p.pid for p in run.family() if 'infra.local.run' in p.cmdline())}):"
        " stop that one first."
    ]


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    """The line names the port and the way out."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert _refused(tmp_path / "data", PORT=str(port)) == [
            f"Port {port} is in use by another program: choose one with PORT=8081."
        ]


def test_an_unwritable_directory_is_one_line(tmp_path: Path) -> None:
    """The line names the directory."""
    (tmp_path / "data").touch()
    (line,) = _refused(tmp_path / "data")
    assert f"The data directory {tmp_path / 'data'} cannot be written" in line


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"STACK": "cloud"}, "STACK must be one of together, processes, emulators"),
        ({"PORT": "http"}, "PORT must be a number from 1 to 65535"),
        ({"PYTHON": "false"}, "DentalHelp needs Python 3.11 or newer with venv; false is not."),
        ({"PYTHON": "/nowhere/python"}, "DentalHelp needs Python 3.11 or newer"),
        ({"RESTART_AFTER": "soon"}, "RESTART_AFTER must be seconds"),
    ],
)
def test_a_wrong_setting_is_one_line(
    variables: dict[str, str], message: str, tmp_path: Path
) -> None:
    """Each setting's fault names the setting and what it may be."""
    (line,) = _refused(tmp_path / "data", **variables)
    assert message in line


def test_emulators_without_their_tools_are_one_line(tmp_path: Path) -> None:
    """Without gcloud or Java the line says what is missing."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh", "cat", "cksum", "dirname"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    (line,) = _refused(tmp_path / "data", STACK="emulators", PATH=str(tools))
    assert "STACK=emulators needs Google's emulators" in line


def _refused(data: Path, **variables: str) -> list[str]:
    """Run in vain; what it printed, without make's own line about the exit code."""
    variables = {"PORT": str(free_port()), "DATA": str(data)} | variables
    path = variables.pop("PATH", os.environ["PATH"])
    ran = subprocess.run(
        ["make", "--no-print-directory", "run", *(f"{k}={v}" for k, v in variables.items())],
        cwd=ROOT,
        env={"PATH": path, "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        timeout=_START,
        check=False,
    )
    assert ran.returncode != 0
    lines = (ran.stdout + ran.stderr).splitlines()
    return [line for line in lines if not line.startswith("make")]
