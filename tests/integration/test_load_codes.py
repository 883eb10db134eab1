"""``make load-codes`` against a platform that listens on a real port."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from infra import load_codes
from tests.platform import PASSWORD, Platform

Run = Callable[..., int]


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """A platform of the tests' own."""
    made = Platform(service_db, services=("auth", "dental_records"))
    made.admin()
    return made


@pytest.fixture(scope="module")
def url(platform: Platform) -> Iterator[str]:
    """Where the platform listens."""
    server = make_server("127.0.0.1", 0, platform.client.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def run(url: str, tmp_path: Path) -> Run:
    """The command, with a file of this text and settings such as ``SYSTEM="cdt"``; its exit
    code."""
    who = tmp_path / "admin.json"
    who.write_text(json.dumps({"email": "admin@example.com", "password": PASSWORD}))
    usual = {"URL": url, "ADMIN_FILE": str(who)}

    def load(text: str, **settings: str) -> int:
        file = tmp_path / "codes.csv"
        file.write_text(text, encoding="utf-8")
        return load_codes.main({**usual, "FILE": str(file), **settings})

    return load


def _codes(platform: Platform, system: str) -> list[str]:
    path = f"/api/dental-records/code-systems/{system}/codes?limit=200"
    answer = platform.call("GET", path, token=platform.token("admin@example.com"))
    return [row["title"] for row in (answer.json or {}).get("items", [])]


def test_a_catalogue_is_loaded_again_and_again(
    platform: Platform, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Codes are added, said anew and withdrawn; what a file does not name stays."""
    assert 0 == run("code,title\nD1,Check\nD2,Filling\n", SYSTEM="cdt", VERSION="2026")
    assert "2 codes of cdt loaded." in capsys.readouterr().out.splitlines()
    changed = "title,code,withdrawn\nCheck-up,D1,\nFilling,D2,TRUE\nCrown,D3,false\n"
    assert 0 == run(changed, SYSTEM="cdt", VERSION="2027")
    assert ["Check-up", "Crown"] == _codes(platform, "cdt")


def test_a_large_catalogue_comes_in_portions(platform: Platform, run: Run) -> None:
    """A file of more codes than one request takes is loaded as a whole."""
    lines = "".join(f"C{number:04},Title {number}\n" for number in range(1100))
    assert 0 == run(f"code,title\n{lines}", SYSTEM="large")
    path = "/api/dental-records/code-systems"
    systems = platform.call("GET", path, token=platform.token("admin@example.com")).json or []
    assert {"large": 1100}.items() <= {row["system"]: row["codes"] for row in systems}.items()


@pytest.mark.parametrize(
    ("text", "settings", "told"),
    [
        ("code,title\nA B,x\n", {"SYSTEM": "cdt"}, "code number 1 of the file"),
        ("code,title\nA,x\n", {"SYSTEM": "icd-10"}, "comes with the release"),
        ("code,title\nA,x\n", {"SYSTEM": ""}, "Say FILE= and SYSTEM="),
        ("code;title\nA;x\n", {"SYSTEM": "cdt"}, "no columns code and title"),
        ("code,title,withdrawn\nA,x,perhaps\n", {"SYSTEM": "cdt"}, "true, false or empty"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], text: str, settings: dict[str, str], told: str
) -> None:
    """The line says what is wrong, and where in the file."""
    assert 1 == run(text, **settings)
    line = capsys.readouterr().err
    assert told in line
    assert 1 == len(line.splitlines())
