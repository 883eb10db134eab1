"""docs/dependencies.md says why each package is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_SECTIONS = {
    "requirements.in": "Deployed",
    "requirements-dev.in": "Development",
    "requirements-bench.in": "Benchmarks",
    "requirements-checkov.in": "Policies",
}


def _asked_for(file: str) -> list[str]:
    """The names in a requirements file (not those it includes), without extras and versions."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [re.split(r"[\[=<>~!; ]", line)[0] for line in lines if re.match(r"\w", line)]


def _explained(section: str) -> dict[str, str]:
    """Package -> why, in one section of the page."""
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    part = next(part for part in text.split("\n## ") if part.startswith(section))
    return dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", part, re.M))


@pytest.mark.parametrize("file", _SECTIONS)
def test_every_package_has_a_reason(file: str) -> None:
    """The packages of a requirements file and of its section are the same, in order."""
    assert _asked_for(file) == list(_explained(_SECTIONS[file]))


@pytest.mark.parametrize("file", _SECTIONS)
def test_a_reason_is_one_sentence(file: str) -> None:
    """Each reason is one sentence: more belongs into a decision."""
    wordy = [
        name
        for name, why in _explained(_SECTIONS[file]).items()
        if not why.endswith(".") or ". " in why
    ]
    assert [] == wordy


def test_what_one_service_alone_needs_has_a_reason() -> None:
    """The packages in functions/*/requirements.in are those of the page, service by service."""
    asked = [
        (package, file.parent.name)
        for file in sorted((ROOT / "functions").glob("*/requirements.in"))
        for package in _asked_for(str(file.relative_to(ROOT)))
    ]
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    assert asked == re.findall(r"^\| `([^`]+)` \| (\w+) \| .+\. \|$", text, re.M)
