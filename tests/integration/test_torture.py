"""Appenders that dawdle, roll back and are killed: readers miss nothing, see nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.chaos.torture import Plan, run


def test_readers_of_tortured_streams(kit_db: Callable[[], str], tmp_path: Path) -> None:
    """Each reader sees every event once, its streams in order, all readers the same; one that
    goes by positions misses some of the very same events. No acknowledged fact is lost."""
    plan = Plan(events=8_000, appenders=2, threads=4, readers=2, streams=40, kill_every=2_000)
    report = run(kit_db(), tmp_path, plan)
    assert [] == report.faults
    assert report.events >= plan.events
    assert report.kills > 0
    assert report.rolled_back > 0


@pytest.mark.long
def test_a_million_events_from_eight_appenders(kit_db: Callable[[], str], tmp_path: Path) -> None:
    """The same with a million events, eight processes that append and four that read."""
    plan = Plan(events=1_000_000)
    report = run(kit_db(), tmp_path, plan)
    assert [] == report.faults
    assert report.events >= plan.events
    assert report.kills >= 10
