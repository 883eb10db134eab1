"""docs/event-store.md is the record it describes: its code is extracted, imported and tested."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.guide import blocks, installed

_PAGE = "event-store.md"


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The files of the page, importable and migratable as if they were in the repository."""
    with installed(_PAGE, "consent", tmp_path, monkeypatch) as files:
        yield files


def test_the_page_is_a_whole_record(
    guide: dict[str, str], service_db: Callable[[str], str]
) -> None:
    """The record in docs/event-store.md passes its own test on PostgreSQL."""
    module = importlib.import_module("test_consent")
    tests = [getattr(module, name) for name in dir(module) if name.startswith("test_")]
    assert 1 == len(tests)
    for test in tests:
        test(service_db)


def test_the_first_version_of_a_fact_is_read(guide: dict[str, str]) -> None:
    """The upcaster of the page does what the page says."""
    store = importlib.import_module("functions.consent.store")
    clinic = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
    upcast = store.ConsentGiven.upcasters[1]({"clinic": clinic, "text": "filling"})
    assert ["filling"] == store.ConsentGiven(**upcast).treatments


def test_no_code_of_the_page_goes_unexecuted(guide: dict[str, str]) -> None:
    """Every block of code in docs/event-store.md is a file of the record."""
    assert len(guide) == blocks(_PAGE)
