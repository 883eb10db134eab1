"""Log-in, refresh, log-out, and a person's own e-mail address and password."""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from uuid import UUID, uuid4

from functions.auth import domain
from functions.auth.service import history
from functions.auth.service.accounts import check_password, translated
from functions.auth.service.keys import signing_key
from functions.auth.store import sessions as store
from functions.auth.store import users
from shared import log
from shared.audit import record
from shared.clocks import clock
from shared.config import AUDIENCE, config
from shared.contracts.auth import AccessRevoked, EmailUpdated, PasswordChanged
from shared.crypto import blind_index
from shared.db import Row, Tx, UniqueViolation
from shared.errors import Forbidden, TooManyRequests, Unauthenticated
from shared.identity import Caller, SigningKey, revoke, sign
from shared.passwords import hash_password, needs_rehash, password_matches
from shared.runtime import database

__all__ = [
    "Pair",
    "change_email",
    "change_password",
    "forget_attempts",
    "login",
    "logout",
    "refresh",
]

_WRONG = "The e-mail address or the password is wrong."


@dataclass(frozen=True)
class Pair:
    """What a log-in gives: a short-lived access token and the token that renews it."""

    access: str
    refresh: str


def login(email: str, password: str, address: str) -> Pair:
    """Begin a session. Raises Unauthenticated (alike for a wrong password, an unknown and a
    closed account, and as late), TooManyRequests."""
    _throttle(email, address)
    row = users.by_email(database("auth"), email)
    good = password_matches(row["password_hash"] if row else None, password)
    if row is None or not good or row["status"] != "ACTIVE":
        raise Unauthenticated(_WRONG)
    key = signing_key()
    session, token = uuid4(), _random_token()

    def work(tx: Tx) -> tuple[Row, datetime]:
        # Since it was read the account may have been closed, or got another password or roles.
        current = users.claim(tx, row["id"])
        if current is None or current["status"] != "ACTIVE":
            raise Unauthenticated(_WRONG)
        stored = current["password_hash"]
        if stored != row["password_hash"] and not password_matches(stored, password):
            raise Unauthenticated(_WRONG)
        # Later than any revocation that is already in these roles, earlier than all others.
        now = clock().now()
        store.insert(tx, session, row["id"], now=now, life=domain.SESSION_LIFE)
        store.add_refresh(tx, _hash(token), session, now + domain.REFRESH_LIFE)
        store.forget_attempts(tx, _account_key(email))
        if needs_rehash(stored):
            users.rehash(tx, row["id"], hash_password(password))
        return current, now

    current, now = database("auth").transaction(work, isolation="READ COMMITTED")
    return Pair(_access_token(current, session, now, key), token)


def refresh(token: str) -> Pair:
    """Rotate a refresh token. The same request within seconds gets the same answer; any other
    second use ends the session everywhere. Raises Unauthenticated."""
    key = signing_key()
    # Derived, not random: a repeated request needs the same successor, and only we can derive it.
    successor = urlsafe_b64encode(blind_index("refresh-successor", token)).decode().rstrip("=")

    def work(tx: Tx) -> tuple[Row, datetime] | None:
        # Held before they are read: roles that are being replaced are either the new ones here,
        # or this token is issued before the revocation and refused by it.
        row = None
        if store.hold_user(tx, _hash(token)):
            row = store.find_refresh(tx, _hash(token), _hash(successor))
        if row is None:
            raise Unauthenticated
        now = clock().now()
        verdict = domain.refresh_verdict(
            now=now,
            expires_at=row["expires_at"],
            used_at=row["used_at"],
            ended_at=row["ended_at"],
            successor_used=row["successor_used"],
        )
        if verdict == "reused":
            _end(tx, row["user_id"], row["session_id"])
            tx.keep()  # although the request is refused below
            return None
        if verdict == "expired" or row["status"] != "ACTIVE":
            raise Unauthenticated("This session has ended: log in again.")
        if verdict == "rotate":
            store.use_refresh(tx, _hash(token), now)
            store.add_refresh(tx, _hash(successor), row["session_id"], now + domain.REFRESH_LIFE)
        return row, now

    done = database("auth").transaction(work, isolation="READ COMMITTED")
    if done is None:
        log.warning("refresh_token_reused")
        raise Unauthenticated("This session has ended: log in again.")
    found, now = done
    found["id"] = found["user_id"]
    return Pair(_access_token(found, found["session_id"], now, key), successor)


def logout(caller: Caller) -> None:
    """End this session everywhere; doing it again changes nothing."""
    person, session = _identity(caller)
    database("auth").transaction(lambda tx: _end(tx, person, session))


def change_email(caller: Caller, email: str, password: str) -> Row:
    """Change the caller's address, after their password. Raises Forbidden, EmailTaken,
    TooManyRequests."""
    person, _ = _identity(caller)
    _confirm(person, password)

    def work(tx: Tx) -> None:
        row = users.lock(tx, person)
        if row is None or row["status"] != "ACTIVE":
            raise Unauthenticated
        if row["email"] != email:
            version = users.set_email(tx, person, email)
            history.follow(tx)
            record(tx, person, "write", "email")
            event = EmailUpdated(person_id=person, email=email, previous=row["email"])
            tx.emit(event, version=version)

    try:
        database("auth").transaction(work)
    except UniqueViolation as taken:
        raise translated(taken) from None
    row = users.get(database("auth"), person)
    if row is None:
        raise Unauthenticated
    return row


def change_password(caller: Caller, current: str, new: str) -> None:
    """Set another password and end every other session. Raises Forbidden, Invalid."""
    person, session = _identity(caller)
    row = _confirm(person, current)
    check_password(new, row["email"], field="new_password")
    hashed = hash_password(new)

    def work(tx: Tx) -> None:
        found = users.lock(tx, person)
        if found is None or found["status"] != "ACTIVE":
            raise Unauthenticated
        if found["password_hash"] != row["password_hash"]:
            raise Forbidden("The password was changed in the meantime.")
        version = users.set_password(tx, person, hashed)
        history.follow(tx)
        record(tx, person, "write", "password")
        tx.emit(PasswordChanged(person_id=person), version=version)
        others = store.end_all(tx, person, clock().now(), but=session)
        now = clock().now()  # after the wait for a refresh: its token is void, too
        for ended in others:
            revoke(tx, person, ended, now)
            tx.emit(AccessRevoked(person_id=person, session_id=ended, revoked_at=now))

    database("auth").transaction(work)


def _end(tx: Tx, person: UUID, session: UUID) -> None:
    if store.end(tx, session, clock().now()):
        now = clock().now()  # after the wait for a refresh: its token is void, too
        revoke(tx, person, session, now)
        # Ordered by the session, whose row this transaction has changed.
        tx.emit(AccessRevoked(person_id=person, session_id=session, revoked_at=now), key=session)


def _identity(caller: Caller) -> tuple[UUID, UUID]:
    if caller.id is None or caller.session is None:
        raise Unauthenticated
    return caller.id, caller.session


def _confirm(person: UUID, password: str) -> Row:
    """The caller's row, once they have shown that they know the password."""
    key = blind_index("login-account", str(person))
    _count(key, domain.ACCOUNT_LIMIT)

    def load(tx: Tx) -> Row | None:
        return users.lock(tx, person)

    row = database("auth").transaction(load)
    if row is None or not password_matches(row["password_hash"], password):
        raise Forbidden("The password is wrong.")
    database("auth").transaction(lambda tx: store.forget_attempts(tx, key))
    return row


def forget_attempts(tx: Tx, person: UUID, email: str | None) -> None:
    """Nobody counts any more how often a password was tried for this account."""
    store.forget_attempts(tx, blind_index("login-account", str(person)))
    if email is not None:
        store.forget_attempts(tx, _account_key(email))


def _account_key(email: str) -> bytes:
    return blind_index("login-account", email)


def _throttle(email: str, address: str) -> None:
    _count(blind_index("login-address", address), domain.ADDRESS_LIMIT)
    _count(_account_key(email), domain.ACCOUNT_LIMIT)


def _count(key: bytes, limit: int) -> None:
    now = clock().now()
    row = store.count_attempt(database("auth"), key, now=now, window=domain.THROTTLE_WINDOW)
    if row["attempts"] > limit:
        wait = (row["since"] + domain.THROTTLE_WINDOW - now).total_seconds()
        raise TooManyRequests(retry_after=max(1, ceil(wait)))


def _access_token(row: Row, session: UUID, now: datetime, key: SigningKey) -> str:
    return sign(
        {
            "iss": config().token_issuer,
            "aud": AUDIENCE,
            "sub": str(row["id"]),
            "sid": str(session),
            "jti": str(uuid4()),
            "iat": now.timestamp(),
            "exp": (now + domain.ACCESS_LIFE).timestamp(),
            "clinics": domain.clinics_claim(users.grants(row)),
        },
        key,
    )


def _random_token() -> str:
    return secrets.token_urlsafe(32)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
