"""Messages that could not be handled: kept sealed, tried again or discarded by an operator.

A letter rests under the service's key, because its payload may be personal; beside it stand the
ids it is about, so that an erasure takes it along. What an operator sees of it is the envelope
without the payload.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from shared import audit, log, telemetry
from shared.crypto import Unreadable, Vault
from shared.db import Database, Row, Tx
from shared.errors import Conflict, NotFound, Problem, Reject, Unavailable
from shared.idempotency import IdempotencyInProgress
from shared.messages import Envelope
from shared.privacy import guard
from shared.wire import Statement

__all__ = ["FailsAgain", "Letter", "discard", "given_up", "page", "redrive", "store", "store_in"]

_UUID = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}(?![0-9a-f])", re.I)
# A hostile body may be full of ids; each is a lock until the letter is stored.
_MOST_IDS = 100
_INSERT = """
insert into dead_letters (id, event_type, topic, sealed, refs, reason, attempts)
select :id, :event_type, :topic, :sealed, :refs::uuid[], :reason, :attempts
where not exists (select from erased_people where person_id = any(:refs::uuid[]))
on conflict (id) do nothing
"""
_PAGE = """
select id, event_type, topic, reason, attempts, stored_at, sealed, body
from dead_letters
where (:event_type::text is null or event_type = :event_type)
  and (:at::timestamptz is null or (stored_at, id) < (:at, :id))
order by stored_at desc, id desc limit :n
"""
_ONE = "select event_type, topic, sealed, body from dead_letters where id = :id"
_DELETE = "delete from dead_letters where id = :id"
_FAILED = "update dead_letters set attempts = attempts + 1, reason = :reason where id = :id"


class FailsAgain(Conflict):
    """The message fails again; it stays where it is, with this reason."""


class _Gone(Exception):
    """Somebody else has redriven or discarded the letter."""


@dataclass(frozen=True)
class Letter:
    """A message to be parked. ``id`` is the message's, so that it is parked once."""

    id: str
    body: bytes
    reason: str
    """Why; it is shown and logged, so it repeats nothing of the payload."""
    event_type: str | None = None
    topic: str | None = None
    """Where it arrived, when known: a redrive asks whether it may come from there."""
    attempts: int = 1

    @classmethod
    def of(cls, env: Envelope, reason: str, *, topic: str | None = None, attempts: int = 1) -> Self:
        """The letter that holds ``env``."""
        body = env.to_json().encode()
        return cls(str(env.event_id), body, reason, env.event_type, topic, attempts)


def given_up(env: Envelope, attributes: Mapping[str, str]) -> Letter:
    """The letter of a message that the broker has delivered in vain, with Pub/Sub's
    ``attributes`` of a dead letter."""
    attempts = attributes.get("CloudPubSubDeadLetterSourceDeliveryCount", "1")
    source = attributes.get("CloudPubSubDeadLetterSourceSubscription", "")
    # A subscription is called <service>.<topic>.
    return Letter.of(
        env,
        f"not handled by {source or 'unknown'}",
        topic=source.partition(".")[2] or None,
        attempts=int(attempts) if attempts.isdecimal() else 1,
    )


Effect = Callable[[Envelope, str | None, Callable[[Tx], None]], str]
"""Lets an envelope from a topic take effect once, and says how; in the same transaction and
before anything else it calls the function."""


def store(db: Database, letter: Letter) -> None:
    """Park ``letter``; again, it changes nothing. Raises Unavailable (the broker asks again)."""
    vault = Vault(db)
    db.transaction(lambda tx: store_in(tx, vault, letter), isolation="READ COMMITTED")


def store_in(tx: Tx, vault: Vault, letter: Letter) -> None:
    """Park ``letter`` in a transaction, READ COMMITTED, that does something else, too.

    Nothing is parked about somebody who was erased.
    """
    identity, reason = _storable(letter.id)[:500], _storable(letter.reason)[:2000]
    log.error(
        "dead_letter",
        service=telemetry.serving_name.get(),
        id=identity,
        event_type=letter.event_type,
        reason=reason,
        attempts=letter.attempts,
    )
    people = _people(letter.body)
    params = {
        "id": identity,
        "event_type": letter.event_type and _storable(letter.event_type),
        "topic": letter.topic,
        "sealed": vault.seal(_purpose(identity), letter.body),
        "refs": people,
        "reason": reason,
        "attempts": letter.attempts,
    }
    tx.batch(*map(guard, people), Statement(_INSERT, params))


def page(
    db: Database, event_type: str | None, after: tuple[datetime, str] | None, n: int
) -> list[Row]:
    """At most ``n`` letters, newest first, each with its envelope's ``metadata`` (or None)."""
    at, identity = after or (None, None)
    vault = Vault(db)
    shown = []
    for row in db.all(_PAGE, event_type=event_type, at=at, id=identity, n=n):
        sealed, plain = row.pop("sealed"), row.pop("body")
        metadata = None
        try:
            env = _envelope(vault, row["id"], sealed, plain)
            metadata = env.metadata.model_dump(mode="json", exclude_none=True)
        except (Reject, Unreadable):
            log.info("dead_letter_unreadable", id=row["id"])
        shown.append({**row, "metadata": metadata})
    return shown


def redrive(db: Database, identity: str, effect: Effect) -> str:
    """Let the letter take effect now: the outcome, and it is gone.

    Raises NotFound; FailsAgain, with the new reason in the letter; Unavailable, when something
    that has nothing to do with the letter is away.
    """
    row = db.one(_ONE, id=identity)
    if row is None:
        raise NotFound("There is no such dead letter.")
    person: UUID | None = None
    try:
        env = _envelope(Vault(db), identity, row["sealed"], row["body"])
        person = _person(env.payload)
        taken = audit.entry(person, "redrive", _what(identity, row))

        def take(tx: Tx) -> None:
            if tx.batch(Statement(_DELETE, {"id": identity}), taken)[0].count == 0:
                raise _Gone

        outcome = effect(env, row["topic"], take)
        if outcome == "unknown":
            # Nobody here handles it any more, so nothing has begun a transaction.
            db.transaction(take, isolation="READ COMMITTED")
    except (Unavailable, IdempotencyInProgress):
        raise
    except _Gone:
        raise NotFound("Somebody else has dealt with this dead letter.") from None
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is the letter's new reason
        reason = _reason(error)
        log.error("dead_letter_fails_again", exc=error, id=identity, event_type=row["event_type"])
        _note_failure(db, identity, reason, audit.entry(person, "redrive", _what(identity, row)))
        raise FailsAgain(reason=reason) from None
    return outcome


def discard(db: Database, identity: str) -> None:
    """Delete the letter for ever; the audit keeps who did and of what type it was.

    Raises NotFound.
    """
    row = db.one(_ONE, id=identity)
    if row is None:
        raise NotFound("There is no such dead letter.")
    try:
        person = _person(_envelope(Vault(db), identity, row["sealed"], row["body"]).payload)
    except (Reject, Unreadable):
        person = None

    def work(tx: Tx) -> None:
        deleted = Statement(_DELETE, {"id": identity})
        if tx.batch(deleted, audit.entry(person, "discard", _what(identity, row)))[0].count == 0:
            raise NotFound("Somebody else has dealt with this dead letter.")

    db.transaction(work, isolation="READ COMMITTED", lock_timeout="2s")


def _note_failure(db: Database, identity: str, reason: str, entry: Statement) -> None:
    def work(tx: Tx) -> None:
        tx.keep()
        failed = Statement(_FAILED, {"id": identity, "reason": _storable(reason)[:2000]})
        if tx.batch(failed, entry)[0].count == 0:
            raise NotFound("Somebody else has dealt with this dead letter.")

    db.transaction(work, isolation="READ COMMITTED", lock_timeout="2s")


def _reason(error: Exception) -> str:
    """What may be shown of ``error``: the texts of our own refusals quote nothing."""
    if isinstance(error, Reject | Problem | Unreadable):
        return str(error)
    return type(error).__name__


def _what(identity: str, row: Row) -> str:
    return f"dead letter {row['event_type'] or 'of no type'} {identity}"


def _envelope(vault: Vault, identity: str, sealed: bytes | None, plain: str | None) -> Envelope:
    """Raises Reject, Unreadable, Unavailable. ``plain``: letters from before they were sealed."""
    if sealed is None:
        return Envelope.parse(plain or "")
    return Envelope.parse(vault.unseal(_purpose(identity), sealed))


def _purpose(identity: str) -> str:
    return f"dead_letter:{identity}"


def _people(body: bytes) -> list[UUID]:
    """Who the message is about; every id in it where that cannot be told."""
    try:
        person = _person(Envelope.parse(body).payload)
    except Reject:
        person = None
    if person is not None:
        return [person]
    found = _UUID.findall(body.decode(errors="replace"))
    return sorted({UUID(text) for text in found[:_MOST_IDS]})


def _person(payload: dict[str, Any]) -> UUID | None:
    """The person in the field that Message.person_field names in every message."""
    for name in ("person_id", "patient_id"):
        try:
            return UUID(str(payload[name]))
        except (KeyError, ValueError):
            continue
    return None


def _storable(text: str) -> str:
    """``text`` without what PostgreSQL's text cannot hold: NUL and lone surrogates."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
