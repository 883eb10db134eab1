"""The other side of a row, in a process of its own: a line asked, a line answered."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Self

__all__ = ["Rival"]


class Rival:
    """``python -m <module> <arguments>``: it says a line when it is ready, and one per command."""

    def __init__(
        self, module: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """``environment``: variables besides ours."""
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        self._answer()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def say(self, command: str, *numbers: int) -> str:
        """What it answers to one command. Raises RuntimeError when it has ended."""
        if self._process.stdin is None:
            raise RuntimeError("no way to reach the process")
        self._process.stdin.write(f"{command} {' '.join(map(str, numbers))}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"{self._module} has ended: is requirements-bench.txt installed?")
        return line
