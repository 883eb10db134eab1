"""Other programs, and the person at the keyboard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["Failed", "Shell", "ask"]


class Failed(Exception):
    """It cannot go on; the message is for the person who deploys."""


class Shell:
    """Runs gcloud and terraform. Secrets are handed over on standard input, never as arguments."""

    def run(
        self,
        *command: str,
        directory: Path | None = None,
    ) -> None:
        """Run ``command`` in sight of the person. Raises Failed."""
        if self._run(command, None, directory, quiet=False).returncode:
            raise Failed(f"This did not work: {' '.join(command[:4])}")

    def read(
        self,
        *command: str,
        given: str | None = None,
        directory: Path | None = None,
    ) -> str:
        """What ``command`` prints; ``given`` is its standard input. Raises Failed."""
        done = self._run(command, given, directory, quiet=True)
        if done.returncode:
            sys.stderr.write(done.stderr)
            raise Failed(f"This did not work: {' '.join(command[:4])}")
        return done.stdout.strip()

    def works(self, *command: str) -> bool:
        """Whether ``command`` ends well; what it prints is of no interest. Raises Failed."""
        return self._run(command, None, None, quiet=True).returncode == 0

    def _run(
        self,
        command: tuple[str, ...],
        given: str | None,
        directory: Path | None,
        *,
        quiet: bool,
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command,
                input=given,
                cwd=directory,
                capture_output=quiet,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            raise Failed(f"{command[0]} is needed and was not found on the PATH.") from None


def ask(question: str, expected: str) -> None:
    """Go on only after ``expected``. Raises Failed."""
    try:
        answer = input(f"{question} [{expected}] ")
    except EOFError:
        answer = ""
    if answer.strip() != expected:
        raise Failed("Nothing was done.")
