"""Shows on the console what the logs report as problems, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

__all__ = ["Problems"]

_TOLD = frozenset({"WARNING", "ERROR", "CRITICAL"})
_DETAILS = ("service", "reason", "subscription", "job", "correlation_id", "exception")
_MOST = 10  # lines per look; a storm belongs into the file


class Problems:
    """Follows ``logs``/*.log from their present ends on."""

    def __init__(self, logs: Path, tell: Callable[[str], None]) -> None:
        self._logs, self._tell = logs, tell
        self._seen = {file: file.stat().st_size for file in logs.glob("*.log")}

    def look(self) -> None:
        """Tell what has been added since the last look."""
        for file in sorted(self._logs.glob("*.log")):
            told = [text for line in self._added(file) if (text := _problem(line))]
            for text in told[:_MOST]:
                self._tell(f"{file.stem}: {text}")
            if len(told) > _MOST:
                self._tell(f"{file.stem}: {len(told) - _MOST} more in {file}")

    def _added(self, file: Path) -> list[bytes]:
        start = self._seen.get(file, 0)
        if file.stat().st_size < start:
            start = 0  # it was put aside and begun anew
        with file.open("rb") as handle:
            handle.seek(start)
            text = handle.read()
        # A line that is being written waits for the next look.
        whole = text.rfind(b"\n") + 1
        self._seen[file] = start + whole
        return text[:whole].splitlines()


def _problem(line: bytes) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or entry.get("severity") not in _TOLD:
        return None
    details = [f"{name}={entry[name]}" for name in _DETAILS[:-1] if name in entry]
    if "exception" in entry:
        details.append(str(entry["exception"]).strip().rpartition("\n")[2])
    return " ".join([f"{entry['severity'].lower()} {entry.get('message')}", *details])
