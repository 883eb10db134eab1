"""Links that let somebody do one thing without logging in: sealed, expiring, for one purpose.

A token is base64url of what the service's vault sealed (AES-GCM, the purpose bound to it): nobody
else can make one, read what it holds, or use it for another purpose. It says who was meant, not
what is still allowed: whoever reads one looks at the row that it names. It can be used again until
it expires, so what it does must be safe to repeat.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Any

from shared.clocks import clock
from shared.crypto import Unreadable, Vault
from shared.errors import Gone, NotFound

__all__ = ["make", "read"]

_LONGEST = 2000  # characters: a link must survive every mail client and proxy
_HIGHEST_KEY_VERSION = 2**31 - 1


def make(vault: Vault, purpose: str, data: Mapping[str, Any], expires_at: datetime) -> str:
    """The token that gives ``data`` (JSON-ready, ids rather than people) back to who reads it for
    the same ``purpose`` until ``expires_at``. Raises ValueError for what no link can carry;
    Unavailable."""
    held = {"until": ceil(expires_at.timestamp()), "data": dict(data)}
    sealed = vault.seal(_named(purpose), json.dumps(held, separators=(",", ":")).encode())
    token = _encode(sealed)
    if len(token) > _LONGEST:
        raise ValueError("too much for a link")
    return token


def read(vault: Vault, purpose: str, token: str) -> dict[str, Any]:
    """What ``make`` was given for the same purpose.

    Raises NotFound for everything that ``make`` did not make, Gone once it has expired;
    Unavailable.
    """
    try:
        held = json.loads(vault.unseal(_named(purpose), _decode(token)))
    except Unreadable:
        raise NotFound("This link is not complete, or not one of ours.") from None
    if clock().now() >= datetime.fromtimestamp(held["until"], UTC):
        raise Gone("This link has expired.")
    data: dict[str, Any] = held["data"]
    return data


def _named(purpose: str) -> str:
    return f"link {purpose}"


def _encode(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def _decode(token: str) -> bytes:
    """Raises Unreadable, also for another spelling of a token: one link, one text."""
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise Unreadable from None
    # A made-up key version costs a look into the database at most, never an error of its own.
    version = int.from_bytes(sealed[1:5], "big")
    if len(token) > _LONGEST or _encode(sealed) != token or version > _HIGHEST_KEY_VERSION:
        raise Unreadable
    return sealed
