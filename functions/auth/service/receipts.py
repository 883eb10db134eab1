"""Receipts of erasures: signed once, checked with the JWKS, and about nobody in particular.

A receipt lies in object storage, too, with the key it is checked with: it outlives a restore of
the database and the key's rotation.
"""

from __future__ import annotations

import json
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
_BATCH = 20


def issue(erasure_id: UUID) -> str | None:
    """The receipt, signed now if there is none; None as long as the erasure is not complete.

    Whoever is first to create the object wins, and everybody keeps what the object says. Raises
    Unavailable.
    """

    def load(tx: Tx) -> tuple[str | None, dict[str, Any] | None]:
        row = store.get(tx, erasure_id)
        if row is None or row["receipt"] or row["status"] not in ("COMPLETED", "HELD"):
            return (row["receipt"] if row else None), None
        return None, _claims(row, store.parts(tx, erasure_id))

    receipt, claims = database("auth").transaction(load)
    if claims is None:
        return receipt
    key, path = signing_key(), f"receipts/{erasure_id}.json"
    mine = json.dumps({"receipt": signed(claims, key, typ=TYP), "key": key.public_jwk()}).encode()
    first = mine if blobs().create(path, mine) else blobs().get(path) or mine
    kept = json.loads(first)

    def keep(tx: Tx) -> None:
        store.keep_receipt(tx, erasure_id, kept["receipt"], kept["key"])

    database("auth").transaction(keep, isolation="READ COMMITTED")
    return str(kept["receipt"])


def issue_all() -> int:
    """Receipts that are missing (the process that should have signed them died); how many."""
    missing = store.unsigned(database("auth"), _BATCH)
    try:
        return sum(issue(erasure_id) is not None for erasure_id in missing)
    except Unavailable:
        log.warning("erasure_receipts_wait", missing=len(missing))
        return 0


def _claims(row: dict[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    completed: datetime = row["completed_at"]
    return {
        "iss": config().token_issuer,
        "iat": int(clock().now().timestamp()),
        "jti": str(row["id"]),
        "reason": row["reason"],
        "requested_at": row["requested_at"].isoformat(),
        "completed_at": completed.isoformat(),
        "services": {
            part["service"]: {name: part[name] for name in ("state", "erased", "held")}
            for part in parts
        },
        "backups_expire_at": (completed + domain.BACKUPS_KEPT).isoformat(),
        "note": _NOTE,
    }
