"""Values of secrets: made or asked for here, handed to Secret Manager, and written down nowhere."""

from __future__ import annotations

import base64
import getpass
import os
import secrets
from typing import Protocol

from infra.deploy_shell import Failed

__all__ = ["GENERATED", "Vault", "fill", "first_admin_password", "forget"]

GENERATED = {
    "BLIND_INDEX_KEY": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    # Nobody knows it: make first-admin puts another in its place for a minute.
    "FIRST_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(32),
}
"""Secrets that are made and not chosen. They are made once: who replaces the key of the blind
index finds nobody any more."""
_SHORTEST = 12


class Vault(Protocol):
    """What this needs of the cloud."""

    @property
    def secrets(self) -> list[str]:
        """The settings whose values are secret."""

    def has_value(self, setting: str) -> bool:
        """Is there a version that can be read?"""

    def add_value(self, setting: str, value: str) -> str:
        """Add a version; its number."""

    def destroy_value(self, setting: str, version: str) -> None:
        """Destroy a version."""


def fill(vault: Vault) -> None:
    """Give a value to each secret that has none. Raises Failed."""
    for setting in vault.secrets:
        if vault.has_value(setting):
            continue
        if setting in GENERATED:
            value = GENERATED[setting]()
        else:
            value = os.environ.get(setting) or _asked(setting)
        vault.add_value(setting, value)
        print(f"  {setting} has a value now")


def first_admin_password(vault: Vault) -> str:
    """Ask for the password and keep it where the job finds it; the version. Raises Failed."""
    value = _asked("password of the first ADMIN")
    if len(value) < _SHORTEST:
        raise Failed(f"The password must have at least {_SHORTEST} characters.")
    return vault.add_value("FIRST_ADMIN_PASSWORD", value)


def forget(vault: Vault, version: str) -> None:
    """Put something that nobody knows in its place, and destroy the password."""
    vault.add_value("FIRST_ADMIN_PASSWORD", GENERATED["FIRST_ADMIN_PASSWORD"]())
    vault.destroy_value("FIRST_ADMIN_PASSWORD", version)


def _asked(what: str) -> str:
    try:
        value = getpass.getpass(f"{what} (not shown): ")
    except EOFError:
        value = ""
    if not value:
        raise Failed(f"{what} is needed: docs/deploy.md says where it comes from.")
    return value
