"""Repeated POST requests: one effect, and the first answer again.

A client that lost the answer to a POST repeats it with the same ``Idempotency-Key``
(draft-ietf-httpapi-idempotency-key-header). The answer commits in the transaction of the effect,
so either both are there or neither is; docs/decisions/0008 says why it is done so.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from shared.crypto import Vault, blind_index
from shared.db import Database, Tx
from shared.errors import BadRequest, Conflict, Problem, Unavailable
from shared.http_reply import Answer
from shared.identity import Caller
from shared.wire import Statement

__all__ = ["Asked", "IdempotencyInProgress", "IdempotencyKeyReused", "Once", "purge"]

# Visible ASCII; the quotes of the draft's structured string may be left out.
_KEY = re.compile(r'(")?([\x21\x23-\x7e]{1,255})(?(1)")')
# Whoever knows a key must not learn by trying what else was in its request: a password.
_MISMATCHES = 10

_FIND = "select answer, mismatches from idempotency_keys where key = :key"
_MISMATCH = """
update idempotency_keys set mismatches = mismatches + 1 where key = :key returning mismatches
"""
# Not for somebody who was erased: their token may be valid for a moment longer.
_STORE = """
insert into idempotency_keys (key, person_id, answer)
select :key::bytea, :person::uuid, :answer::bytea
 where not exists (select from erased_people where person_id = :person::uuid)
"""
# An answer whose transaction had begun before its person was erased did not see that.
_LATE = "delete from idempotency_keys where person_id in (select person_id from erased_people)"


class IdempotencyInProgress(Conflict):
    """A request with this Idempotency-Key is being handled: repeat this shortly."""


class IdempotencyKeyReused(Problem):
    """This Idempotency-Key belongs to another request: take a new key for each new request."""

    status = 422


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for: who, which route, and all that makes it this very request."""

    caller: Caller
    template: str
    path: str
    query: str
    if_match: str
    body: bytes

    def key(self, given: str) -> bytes:
        """What the answer is stored under: the same key of another caller, or for another route,
        is another one. Raises BadRequest for what is no key."""
        found = _KEY.fullmatch(given.strip())
        if found is None:
            raise BadRequest("Idempotency-Key must be 1 to 255 visible ASCII characters.")
        who = self.caller.service or self.caller.id or ""
        scope = f"{self.caller.kind} {who}\0POST {self.template}\0{found[2]}"
        return blind_index("idempotency-key", scope)

    def fingerprint(self) -> str:
        """Differs for any other request."""
        body = hashlib.sha256(self.body).hexdigest()
        parts = "\0".join((self.path, self.query, self.if_match, body))
        return blind_index("idempotency-fingerprint", parts).hex()


class Once:
    """Lets the POST requests of one service take effect once."""

    def __init__(self, database: Callable[[], Database], vault: Callable[[], Vault]) -> None:
        self._database = database
        self._vault = vault

    def answer(self, given: str, asked: Asked, handle: Callable[[], Answer]) -> Answer:
        """What ``handle`` answers, or what it answered when the key ``given`` came first.

        Only a 2xx answer is stored; with any other, whatever ``handle`` has done is rolled back.
        Raises what ``handle`` raises, BadRequest, IdempotencyInProgress, IdempotencyKeyReused.
        """
        key, fingerprint = asked.key(given), asked.fingerprint()
        db = self._database()
        found = self._find(db, key, fingerprint)
        if found is not None:
            return found
        failure: Exception | None = None
        try:
            with db.holding(lambda tx: _claim(tx, key)) as held:
                answer = handle()
                good = 200 <= answer.status < 300
                if good and held.tx is not None:
                    db.settle(held.tx, self._stored(key, fingerprint, asked.caller, answer))
            if good:
                return answer
        except Exception as error:  # noqa: BLE001 -- raised again below, unless it is answered
            failure = error
        # The first request may have ended since we looked: then this is what it led to, such as
        # "the address is taken". And when the reply to our COMMIT was lost, its answer is there.
        try:
            found = self._find(db, key, fingerprint)
        except Unavailable:
            found = None
        if found is not None:
            return found
        if failure is not None:
            raise failure
        return answer

    def _find(self, db: Database, key: bytes, fingerprint: str) -> Answer | None:
        row = db.one(_FIND, key=key)
        if row is None:
            return None
        if row["mismatches"] < _MISMATCHES:
            opened = self._vault().unseal(_purpose(key), row["answer"])
            head, _, body = opened.partition(b"\n")
            known = json.loads(head)
            if hmac.compare_digest(known["fingerprint"], fingerprint):
                answer = Answer(known["status"], body, known["headers"])
                return replace(answer, headers={**answer.headers, "Idempotent-Replayed": "true"})
            db.one(_MISMATCH, key=key)
        raise IdempotencyKeyReused

    def _stored(self, key: bytes, fingerprint: str, caller: Caller, answer: Answer) -> Statement:
        known = {
            "fingerprint": fingerprint,
            "status": answer.status,
            "headers": dict(answer.headers),
        }
        sealed = self._vault().seal(_purpose(key), json.dumps(known).encode() + b"\n" + answer.body)
        return Statement(_STORE, {"key": key, "person": caller.id, "answer": sealed})


def purge(tx: Tx) -> int:
    """Forget the answers that are older than a day, or of people who were erased; how many."""
    old = "delete from idempotency_keys where created_at < now() - interval '24 hours'"
    return tx.run(old) + tx.run(_LATE)


def _claim(tx: Tx, key: bytes) -> None:
    """One request at a time: the lock ends with the transaction, however that ends."""
    number = int.from_bytes(key[:8], "big", signed=True)
    if not tx.value("select pg_try_advisory_xact_lock(:number::bigint) as mine", number=number):
        raise IdempotencyInProgress(retry_after=1)


def _purpose(key: bytes) -> str:
    # Bound to the row: nobody who can write the table can move an answer to another key.
    return f"idempotency {key.hex()}"
