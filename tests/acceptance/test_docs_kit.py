"""docs/kit.md is the service it describes: its code is extracted, imported and tested."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import functions
import shared.contracts
from infra import migrate
from shared import handles

ROOT = Path(__file__).resolve().parents[2]
_FILE = re.compile(r"^`([\w/]+\.(?:py|sql))`\n\n```(?:python|sql)\n(.*?)^```$", re.M | re.S)
_MODULES = ("functions.recall", "shared.contracts.recall", "test_recall")


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The files of the guide, importable and migratable as if they were in the repository."""
    files = dict(_FILE.findall((ROOT / "docs" / "kit.md").read_text(encoding="utf-8")))
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "functions/recall/__init__.py").touch()
    kit = tmp_path / "shared/sql"
    kit.parent.mkdir(exist_ok=True)
    kit.symlink_to(ROOT / "shared/sql")
    monkeypatch.setattr(migrate, "ROOT", tmp_path)
    for package, folder in ((functions, "functions"), (shared.contracts, "shared/contracts")):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / folder)])
    monkeypatch.syspath_prepend(str(tmp_path / "tests/integration"))
    yield files
    handles._databases.pop("recall", None)
    for name in [name for name in sys.modules if name.startswith(_MODULES)]:
        del sys.modules[name]
    for package, attribute in ((functions, "recall"), (shared.contracts, "recall")):
        if hasattr(package, attribute):
            delattr(package, attribute)


def test_the_guide_is_a_whole_service(
    guide: dict[str, str], service_db: Callable[[str], str]
) -> None:
    """The service in docs/kit.md passes its own test on PostgreSQL."""
    module = importlib.import_module("test_recall")
    tests = [getattr(module, name) for name in dir(module) if name.startswith("test_")]
    assert tests, "the guide lost its test"
    for test in tests:
        test(service_db)


def test_no_code_of_the_guide_goes_unexecuted(guide: dict[str, str]) -> None:
    """Every block of code in docs/kit.md is a file of the service."""
    text = (ROOT / "docs" / "kit.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^```(?:python|sql)$", text, re.M)) == len(guide)
