"""make package: the same bytes everywhere, and everything a function needs but nothing else."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra import package
from infra.manifest import ROOT, service_names


def _unpacked(name: str, at: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(package.pack(package.contents(name)))) as archive:
        archive.extractall(at)
    return at


def test_the_same_code_gives_the_same_bytes(tmp_path: Path) -> None:
    """Neither the time, nor the order of files, nor their own times and rights are in a zip."""
    files = package.contents("auth")
    first = package.pack(files)
    assert first == package.pack(dict(reversed(files.items())))
    for folder in ("shared", "functions/auth"):
        for path in (ROOT / folder).rglob("*"):
            copy = tmp_path / path.relative_to(ROOT)
            if path.is_file() and "__pycache__" not in path.parts:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
                copy.chmod(0o600)
                os.utime(copy, (1, 1))
    (tmp_path / "functions/__init__.py").write_bytes((ROOT / "functions/__init__.py").read_bytes())
    (tmp_path / "requirements.txt").write_bytes((ROOT / "requirements.txt").read_bytes())
    assert first == package.pack(package.contents("auth", tmp_path))


def test_another_byte_is_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file changes the zip's name, and the names are what Terraform is told."""
    monkeypatch.setattr(package, "_FOLDER", tmp_path / "zips")
    monkeypatch.setattr(package, "_TFVARS", tmp_path / "packages.auto.tfvars.json")
    assert 0 == package.main()
    before = {path.name for path in (tmp_path / "zips").iterdir()}
    assert len(before) == len(service_names()) + 1
    real = package.contents

    def changed(name: str, root: Path = ROOT) -> dict[str, bytes]:
        more = {"shared/new.py": b"\n"} if name == "auth" else {}
        return real(name, root) | more

    monkeypatch.setattr(package, "contents", changed)
    assert 0 == package.main()
    after = {path.name for path in (tmp_path / "zips").iterdir()}
    assert {"auth"} == {name.partition("-")[0] for name in after - before}
    assert len(after) == len(before)
    told = (tmp_path / "packages.auto.tfvars.json").read_text("utf-8")
    assert all(name in told for name in after)


@pytest.mark.parametrize("name", service_names())
def test_a_function_starts_from_its_zip_alone(name: str, tmp_path: Path) -> None:
    """In an empty directory both targets import, and no other service is there."""
    place = _unpacked(name, tmp_path)
    ran = subprocess.run(
        [sys.executable, "-I", "-c", _IMPORT],
        cwd=place,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ("http events\n", "", 0) == (ran.stdout, ran.stderr, ran.returncode)
    inside = {path.name for path in (place / "functions").iterdir()}
    assert {"__init__.py", name} == inside - {"__pycache__"}
    assert not (place / "infra").exists()


_IMPORT = """
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, ".")
import main
print(main.http.__name__, main.events.__name__)
"""


def test_the_tools_find_all_that_they_import(tmp_path: Path) -> None:
    """The jobs' package has every module of ours that its commands name, and all migrations."""
    place = _unpacked(package.TOOLS, tmp_path)
    missing = set()
    for path in place.rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            module = node.module if isinstance(node, ast.ImportFrom) else None
            if module and module.partition(".")[0] in ("infra", "shared", "functions"):
                file = place / Path(*module.split("."))
                if not (file.with_suffix(".py").exists() or file.is_dir()):
                    missing.add(f"{path.relative_to(place)}: {module}")
    assert set() == missing
    for name in service_names():
        own = ROOT / "functions" / name / "migrations"
        packed = place / "functions" / name / "migrations"
        expected = [file.name for file in sorted(own.glob("*.sql"))]
        assert expected == [file.name for file in sorted(packed.glob("*.sql"))]


def test_a_packages_pins_are_the_locks(tmp_path: Path) -> None:
    """A zip asks for the base and the service's own packages, each once, each with its hash."""
    for name in (*service_names(), package.TOOLS):
        text = package.contents(name)["requirements.txt"].decode()
        pins = [line for line in text.splitlines() if "==" in line and not line.startswith(" ")]
        assert len(pins) == len({pin.partition("==")[0] for pin in pins})
        assert all(f"{pin}" in (ROOT / "requirements-dev.txt").read_text("utf-8") for pin in pins)
        assert text.count("--hash=sha256:") >= len(pins)
        own = ROOT / "functions" / name / "requirements.in"
        if own.exists():
            asked = [line for line in own.read_text("utf-8").splitlines() if line[:1].isalpha()]
            assert all(any(pin.lower().startswith(a.lower()) for pin in pins) for a in asked)
