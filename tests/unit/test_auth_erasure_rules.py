"""When an erasure is done, and how long anybody is waited for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from functions.auth.domain import (
    ASKINGS,
    ErasureStatus,
    PartState,
    ask_again_after,
    continue_after,
    erasure_status,
)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        (["ERASED"], "COMPLETED"),
        (["ERASED", "HELD"], "HELD"),
        (["ERASED", "FAILED", "HELD"], "FAILED"),
        (["ERASED", "FAILED", "HELD", "PENDING"], "RUNNING"),
    ],
)
def test_the_worst_part_decides(parts: list[PartState], status: ErasureStatus) -> None:
    """Nothing is complete while somebody is waited for, or has failed."""
    assert status == erasure_status(parts)


def test_who_is_late_is_asked_at_growing_distances() -> None:
    """A minute, then twice as long each time, then every hour: most of a day in all."""
    pauses = [ask_again_after(n) for n in range(1, ASKINGS + 1)]
    minutes = [1, 2, 4, 8, 16, 32, *[60] * (ASKINGS - 6)]
    assert [timedelta(minutes=m) for m in minutes] == pauses
    assert timedelta(hours=12) < sum(pauses, timedelta()) < timedelta(days=1)


def test_the_ledger_is_tried_more_and_more_rarely() -> None:
    """Seconds at first, at most five minutes, whatever the number of tries."""
    seconds = [continue_after(tries).total_seconds() for tries in (0, 1, 2, 7, 8, 10**6)]
    assert [2, 4, 8, 256, 300, 300] == seconds
