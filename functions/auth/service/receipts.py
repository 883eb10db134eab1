"""Receipts of erasures: signed once, checked with the JWKS, and about nobody in particular.

A receipt lies in object storage, too, with the key it is checked with: it outlives a restore of
the database and the key's rotation.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.auth import domain
from functions.auth.service.keys import signing_key
from functions.auth.store import erasures as store
from shared import log
from shared.blobs import blobs
from shared.clocks import clock
from shared.config import config
from shared.db import Tx
from shared.errors import Unavailable
from shared.identity import sign as signed
from shared.runtime import database

__all__ = ["TYP", "issue", "issue_all"]

TYP = "erasure-receipt+jwt"
_NOTE = (
    "Erased from every database. Encrypted backups from before still hold the data until"
    " backups_expire_at; when one is restored, the erasure is applied again before its use."
)
_HELD_NOTE = (
    "What is named under held a law forbids to erase yet. It is restricted until then, erased by"
    " itself when its time has come, and a final receipt says so."
)
_BATCH = 20


def issue(erasure_id: UUID) -> tuple[str | None, str | None]:
    """The receipt, and the final one of an erasure that held something at first: signed now if
    they are missing, None as long as it is too early for them.

    Whoever is first to create the object wins, and everybody keeps what the object says. Raises
    Unavailable.
    """
    first = _issue(erasure_id, "receipt", f"receipts/{erasure_id}.json")
    return first, _issue(erasure_id, "final_receipt", f"receipts/{erasure_id}-final.json")


def issue_all() -> int:
    """Receipts that are missing (the process that should have signed them died); how many."""
    missing = store.unsigned(database("auth"), _BATCH)
    try:
        for erasure_id in missing:
            issue(erasure_id)
    except Unavailable:
        log.warning("erasure_receipts_wait", missing=len(missing))
        return 0
    return len(missing)


def _issue(erasure_id: UUID, which: store.Receipt, path: str) -> str | None:
    def load(tx: Tx) -> tuple[str | None, dict[str, Any] | None]:
        row = store.get(tx, erasure_id)
        if row is None or row[which] or row["status"] not in ("COMPLETED", "HELD"):
            return (row[which] if row else None), None
        if which == "final_receipt" and row["released_at"] is None:
            return None, None
        return None, _claims(row, store.parts(tx, erasure_id))

    receipt, claims = database("auth").transaction(load)
    if claims is None:
        return receipt
    key = signing_key()
    mine = json.dumps({"receipt": signed(claims, key, typ=TYP), "key": key.public_jwk()}).encode()
    first = mine if blobs().create(path, mine) else blobs().get(path) or mine
    kept = json.loads(first)

    def keep(tx: Tx) -> None:
        store.keep_receipt(tx, erasure_id, which, kept["receipt"], kept["key"])
        if _holds(kept["receipt"]):
            # The database may have been restored to before it knew that something was held.
            store.held(tx, erasure_id, clock().now())

    database("auth").transaction(keep, isolation="READ COMMITTED")
    return str(kept["receipt"])


def _holds(receipt: str) -> bool:
    """Whether our own receipt names something that is held."""
    body = receipt.split(".")[1]
    claims = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return any(part["held"] for part in claims["services"].values())


def _claims(row: dict[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    completed: datetime = row["completed_at"]
    released: datetime | None = row["released_at"]
    held = any(part["held"] for part in parts)
    return {
        "iss": config().token_issuer,
        "iat": int(clock().now().timestamp()),
        "jti": str(row["id"]),
        "reason": row["reason"],
        "status": row["status"],
        "requested_at": row["requested_at"].isoformat(),
        "completed_at": completed.isoformat(),
        **({"released_at": released.isoformat()} if released else {}),
        "services": {
            part["service"]: {name: part[name] for name in ("state", "erased", "held")}
            for part in parts
        },
        "backups_expire_at": ((released or completed) + domain.BACKUPS_KEPT).isoformat(),
        "note": f"{_NOTE} {_HELD_NOTE}" if held else _NOTE,
    }
