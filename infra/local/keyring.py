"""The secrets of one embedded platform: made once, kept in its directory, never a default."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra.local.files import write_private

__all__ = ["Keyring"]


@dataclass
class Keyring:
    """What ``secrets.json`` holds. Losing the file loses every encrypted field."""

    kms_key: str
    """32 bytes, base64: wraps the services' keys."""
    blind_index_key: str
    """32 bytes, base64."""
    push_signing_key: str
    """PEM, ES256: signs the bus's and the scheduler's calls."""
    service_signing_key: str
    """PEM, ES256: signs the services' calls to each other."""
    passwords: dict[str, str] = field(default_factory=dict)
    """Database role -> password."""

    @classmethod
    def open(cls, directory: Path, roles: list[str]) -> Keyring:
        """The keyring of ``directory``, with a password for each of ``roles``; makes what is not.

        Raises OSError, and ValueError when the file was damaged: nobody but a person may decide
        to give up the data that its keys protect.
        """
        path, made = directory / "secrets.json", False
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            # Platforms made before services called each other have no such key yet.
            made = "service_signing_key" not in kept
            keys = cls(**({"service_signing_key": _private_pem()} | kept))
        except FileNotFoundError:
            keys = cls(_random_key(), _random_key(), _private_pem(), _private_pem())
        except (ValueError, TypeError) as damage:
            raise ValueError(
                f"{path} is damaged; without it the data cannot be read: restore the file, "
                f"or remove {directory} to begin anew."
            ) from damage
        missing = [role for role in roles if role not in keys.passwords]
        for role in missing:
            keys.passwords[role] = secrets.token_urlsafe(24)
        if made or missing or not path.exists():
            write_private(path, json.dumps(asdict(keys), indent=2) + "\n")
        return keys


def _random_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _private_pem() -> str:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )
