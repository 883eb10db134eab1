"""What `make terraform-check` planned and applied on a provider that is made up."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Resources = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def runs() -> dict[str, Any]:
    """Run -> its resources and outputs."""
    made = os.environ.get("TERRAFORM_RUNS")
    if not made:
        pytest.skip("make terraform-check runs these")
    found: dict[str, Any] = json.loads(Path(made).read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="session")
def everything(runs: dict[str, Any]) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Run, type, address and values of every resource of every run."""
    return [
        (run, one["type"], one["address"], one["values"])
        for run, made in runs.items()
        for one in made["resources"]
    ]


@pytest.fixture(scope="session")
def default(runs: dict[str, Any]) -> Resources:
    """The values of the default run's resources of some types."""

    def of(*types: str) -> list[dict[str, Any]]:
        return list(_of(runs["default"], types))

    return of


def _of(run: dict[str, Any], types: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for one in run["resources"]:
        if one["type"] in types:
            yield one["values"]
