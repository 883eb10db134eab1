"""Arms the fault points of running processes (shared/faults.py) through their directory."""

from __future__ import annotations

from pathlib import Path

from shared.faults import POINTS

__all__ = ["Faults"]


class Faults:
    """The faults of the processes that were started with FAULT_POINTS naming ``directory``."""

    def __init__(self, directory: Path) -> None:
        """Makes the directory where it is missing."""
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def arm(self, point: str, action: str) -> None:
        """Let the next process that passes ``point`` do ``action``: kill, stop, error or cut,
        with a number for a later passage (``kill 3``). Forgets who was hit there before.

        Raises KeyError for a point there is not.
        """
        POINTS[point]
        for hit in self._hits(point):
            hit.unlink()
        # Under its own name only when it is complete: somebody may look at any moment.
        draft = self._directory / f".{point}"
        draft.write_text(action, encoding="ascii")
        draft.rename(self._directory / point)

    def hit(self, point: str) -> bool:
        """Whether a process has done what ``point`` was armed with."""
        return self.victim(point) is not None

    def victim(self, point: str) -> int | None:
        """The id of the process that was hit at ``point``."""
        return next((int(hit.suffix[1:]) for hit in self._hits(point)), None)

    def clear(self) -> None:
        """Disarm everything and forget who was hit."""
        for file in self._directory.iterdir():
            file.unlink(missing_ok=True)

    def _hits(self, point: str) -> list[Path]:
        return list(self._directory.glob(f"{point}.hit.*"))
