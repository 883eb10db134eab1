"""The first administrator: made once, its password known from ``admin.json`` only."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.files import write_private

__all__ = ["Admin", "NoAdmin", "create_first_admin"]

_TIMEOUT = 180.0  # seconds


class NoAdmin(Exception):
    """The administrator could not be made; the message says what the command printed."""


@dataclass(frozen=True)
class Admin:
    """Who may log in first."""

    email: str
    password: str

    @classmethod
    def read(cls, directory: Path) -> Admin:
        """From ``admin.json``. Raises OSError when somebody took the file away."""
        return cls(**json.loads((directory / "admin.json").read_text(encoding="utf-8")))


def create_first_admin(directory: Path, environment: Mapping[str, str], root: Path) -> bool:
    """Make the administrator on the first start; was it made just now?

    The file is written before the account exists: a crash in between leaves a password without
    an account, and the next start makes the account with it, never the reverse. Raises NoAdmin.
    """
    done, file = directory / "admin.created", directory / "admin.json"
    if done.exists():
        return False
    if not file.exists():
        admin = {
            "email": f"admin.{secrets.token_hex(3)}@dentalhelp.example",
            "password": secrets.token_urlsafe(18),
        }
        write_private(file, json.dumps(admin, indent=2) + "\n")
    known = Admin.read(directory)
    arguments = ["--email", known.email, "--password-stdin"]
    ran = subprocess.run(
        [sys.executable, "-m", "functions.auth.first_admin", *arguments],
        input=known.password,
        env=dict(environment),
        cwd=root,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    if ran.returncode != 0:
        raise NoAdmin((ran.stderr or ran.stdout).strip() or f"exit code {ran.returncode}")
    write_private(done, ran.stdout.strip() + "\n")
    return True
