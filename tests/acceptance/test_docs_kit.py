"""docs/kit.md is the service it describes: its code is extracted, imported and tested."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.guide import blocks, installed

_PAGE = "kit.md"


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The files of the guide, importable and migratable as if they were in the repository."""
    with installed(_PAGE, "recall", tmp_path, monkeypatch) as files:
        yield files


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
    assert len(guide) == blocks(_PAGE)
