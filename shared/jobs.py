"""What a schedule triggers: named functions with a period."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

__all__ = ["Job", "Jobs"]

F = TypeVar("F", bound=Callable[[], object])


@dataclass(frozen=True)
class Job:
    """One function and how often it runs; the cloud's scheduler ticks once a minute at most."""

    name: str
    every: timedelta
    run: Callable[[], object]


class Jobs:
    """The jobs of one service: ``@jobs("rotate-keys", every=timedelta(hours=1))``.

    A job may be triggered twice at once and must not mind.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Job] = {}

    def __call__(self, name: str, *, every: timedelta) -> Callable[[F], F]:
        """Declare a job. Raises ValueError for a name that does not fit a URL, or a second one."""
        if not re.fullmatch(r"[a-z][a-z0-9-]{1,40}", name) or name in self.entries:
            raise ValueError(f"a job needs a name of its own: {name}")

        def add(function: F) -> F:
            self.entries[name] = Job(name, every, function)
            return function

        return add
