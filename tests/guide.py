"""The pages under docs/ that are programs: their files, extracted and made importable."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import functions
import shared.contracts
from infra import migrate
from shared import handles

__all__ = ["blocks", "files", "installed"]

ROOT = Path(__file__).resolve().parents[1]
_FILE = re.compile(r"^`([\w/]+\.(?:py|sql))`\n\n```(?:python|sql)\n(.*?)^```$", re.M | re.S)


def _text(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def files(page: str) -> dict[str, str]:
    """Path -> content of every file in docs/``page``."""
    return dict(_FILE.findall(_text(page)))


def blocks(page: str) -> int:
    """How many blocks of code there are, in files or not."""
    return len(re.findall(r"^```(?:python|sql)$", _text(page), re.M))


@contextmanager
def installed(
    page: str, service: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """The files of docs/``page``, importable and migratable as if they were in the repository;
    they are about ``service``."""
    found = files(page)
    for name, text in found.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (directory / "functions" / service / "__init__.py").touch()
    kit = directory / "shared/sql"
    kit.parent.mkdir(exist_ok=True)
    kit.symlink_to(ROOT / "shared/sql")
    monkeypatch.setattr(migrate, "ROOT", directory)
    for package, folder in ((functions, "functions"), (shared.contracts, "shared/contracts")):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(directory / folder)])
    monkeypatch.syspath_prepend(str(directory / "tests/integration"))
    try:
        yield found
    finally:
        handles._databases.pop(service, None)
        handles._vaults.pop(service, None)
        ours = (f"functions.{service}", f"shared.contracts.{service}", f"test_{service}")
        for name in [name for name in sys.modules if name.startswith(ours)]:
            del sys.modules[name]
        for package in (functions, shared.contracts):
            if hasattr(package, service):
                delattr(package, service)
