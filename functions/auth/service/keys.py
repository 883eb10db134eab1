"""The keys that sign tokens: made when needed, published before they sign, rotated."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import Any

from functions.auth import domain
from functions.auth.store import sessions as store
from shared.clocks import clock
from shared.db import Tx
from shared.identity import SigningKey
from shared.runtime import database, vault

__all__ = ["purge", "rotate", "signing_key", "verification_keys"]

_PURPOSE = "auth.signing_keys"
_CACHE_S = 60.0
_cached: tuple[float, SigningKey, object] | None = None
_lock = threading.Lock()


def verification_keys() -> list[dict[str, Any]]:
    """The public keys (JWK) of every token that may still be valid, and of the next one; and
    those that receipts are checked with, for good."""
    return [row["public"] for row in store.public_keys(database("auth"))]


def signing_key() -> SigningKey:
    """The key that signs now; looked up once a minute, made at the very first token."""
    global _cached
    db = database("auth")
    found = _cached
    if found and found[0] > time.monotonic() and found[2] is db:
        return found[1]
    with _lock:
        now = clock().now()
        rows = store.signing_keys(db)
        active = [row for row in rows if row["active_from"] <= now]
        if not active:
            rotate()
            active = [row for row in store.signing_keys(db) if row["active_from"] <= now]
        # The first key ever may come from a machine whose clock is ahead: it signs all the same.
        active = active or store.signing_keys(db)[-1:]
        pem = vault("auth").unseal(_PURPOSE, active[0]["sealed"]).decode()
        key = SigningKey.from_pem(pem)
        _cached = (time.monotonic() + _CACHE_S, key, db)
        return key


def rotate() -> int:
    """Make the next key when the newest one is old; 1 if one was made.

    The first of all signs at once; later ones are published ``KEY_LEAD`` before they sign.
    """
    keys = vault("auth")
    # Sealed outside the transaction: it may make the service key in a transaction of its own.
    fresh = SigningKey.generate()
    sealed = keys.seal(_PURPOSE, fresh.pem.encode())

    def work(tx: Tx) -> int:
        now = clock().now()
        rows = store.lock_signing_keys(tx)
        if rows and rows[0]["active_from"] > now - domain.KEY_LIFE:
            return 0
        start = now + domain.KEY_LEAD if rows else now - timedelta(seconds=1)
        store.add_signing_key(tx, fresh.kid, sealed, fresh.public_jwk(), start)
        return 1

    # It may be made for a request's answer, and stays when that request is refused.
    return database("auth").apart(work, isolation="READ COMMITTED")


def purge() -> int:
    """Drop expired tokens, sessions and attempts, and keys no valid token was signed with."""
    now: datetime = clock().now()
    # Invitations live longest of all that is signed; the margin is for cached keys and clocks.
    before = now - domain.INVITATION_LIFE - 2 * domain.ACCESS_LIFE
    return database("auth").transaction(lambda tx: store.purge(tx, now, keys_before=before))
