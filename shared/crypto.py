"""Encryption of fields, one key per person, so that deleting a key erases a person's data.

KMS wraps one service key per version; the service key wraps each subject's data key; the data
key seals the fields. A service key is unwrapped once per process. A subject's key is not kept
beyond the request: it comes with the row it opens (join ``subject_keys`` in the SELECT), so a
deleted row takes effect at once, in every instance.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from shared.config import config
from shared.kms import Kms, Unreadable, kms

__all__ = ["SHRED", "Subject", "Unreadable", "Vault", "blind_index", "shred"]

T = TypeVar("T")

_NONCE = 12
_KEY = 32
_FORMAT = b"\x01"
# How long an instance may go on sealing with the version before a rotation, in seconds.
_CURRENT_FOR = 300.0

SHRED = "delete from subject_keys where subject = :person"
"""Makes all that the key of a person sealed unreadable for ever."""


class Rows(Protocol):
    """What the vault needs of ``shared.db.Database``; each statement is its own transaction."""

    def all(self, sql: str, /, **params: Any) -> list[dict[str, Any]]:
        """The rows of one statement."""
        ...

    def close(self) -> None:
        """End the calling thread's connection."""
        ...


class Statements(Protocol):
    """What the vault needs of an open transaction, ``shared.db.Tx``."""

    def one(self, sql: str, /, **params: Any) -> Mapping[str, Any] | None:
        """The only row, or None."""
        ...

    def run(self, sql: str, /, **params: Any) -> int:
        """Execute and count the rows touched."""
        ...


class _Keys:
    """One database's service keys as this process knows them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_version: dict[int, Any] = {}
        self.current = 0
        self.current_until = 0.0


_known: WeakKeyDictionary[Rows, _Keys] = WeakKeyDictionary()
_known_lock = threading.Lock()


class Subject:
    """One person's data key: seals and unseals fields. Do not keep it beyond the request."""

    def __init__(self, subject: UUID, key: bytes) -> None:
        self._aead = _aead(key)
        self._aad = b"field\0" + subject.bytes

    def seal(self, field: str, text: str | None) -> bytes | None:
        """Encrypt ``text``, bound to the person and to ``field``; None stays None."""
        if text is None:
            return None
        nonce = os.urandom(_NONCE)
        sealed: bytes = self._aead.encrypt(nonce, text.encode(), self._aad + field.encode())
        return _FORMAT + nonce + sealed

    def unseal(self, field: str, blob: bytes | None) -> str | None:
        """The text ``seal`` was given. Raises Unreadable if ``blob`` is not this field's."""
        return None if blob is None else self.open(field, blob).decode()

    def open(self, field: str, blob: bytes) -> bytes:
        """``unseal``, not decoded."""
        if blob[:1] != _FORMAT:
            raise Unreadable
        return _open(self._aead, blob, self._aad + field.encode(), 1)


class Vault:
    """The keys of one service, kept in its database. Cheap to make; the unwrapped service keys
    belong to the process and the database."""

    def __init__(self, db: Rows, key: Kms | None = None) -> None:
        """``key`` defaults to the configured KMS key."""
        self._db = db
        self._kms = key
        with _known_lock:
            self._keys = _known.setdefault(db, _Keys())

    def new_subject(self, tx: Statements, subject: UUID) -> Subject:
        """The key of ``subject``, made in this transaction if there is none. Raises Unavailable."""
        version = self._current()
        key = os.urandom(_KEY)
        nonce = os.urandom(_NONCE)
        wrapped = nonce + self._service(version).encrypt(nonce, key, _subject_aad(subject))
        made = tx.one(
            "insert into subject_keys (subject, version, wrapped)"
            " values (:subject, :version, :wrapped)"
            " on conflict (subject) do nothing returning subject",
            subject=subject,
            version=version,
            wrapped=wrapped,
        )
        if made:
            return Subject(subject, key)
        row = tx.one(
            "select version, wrapped from subject_keys where subject = :subject", subject=subject
        )
        if row is None:
            raise Unreadable
        return self.subject(subject, row["version"], row["wrapped"])

    def subject(self, subject: UUID, version: int | None, wrapped: bytes | None) -> Subject:
        """The key of ``subject`` from its row. Raises Unreadable when the row is gone (both None,
        as a left join gives) or is another person's; Unavailable."""
        if version is None or wrapped is None:
            raise Unreadable
        return Subject(subject, _open(self._service(version), wrapped, _subject_aad(subject)))

    def rewrapped(self, subject: UUID, version: int, wrapped: bytes) -> tuple[int, bytes]:
        """The same key under the current version: (version, wrapped). Raises as ``subject``."""
        key = _open(self._service(version), wrapped, _subject_aad(subject))
        current, nonce = self._current(), os.urandom(_NONCE)
        return current, nonce + self._service(current).encrypt(nonce, key, _subject_aad(subject))

    def seal(self, purpose: str, data: bytes) -> bytes:
        """Encrypt what belongs to the service and to nobody in particular. Raises Unavailable."""
        version = self._current()
        nonce = os.urandom(_NONCE)
        head = _FORMAT + version.to_bytes(4, "big")
        sealed: bytes = self._service(version).encrypt(nonce, data, _purpose_aad(purpose))
        return head + nonce + sealed

    def unseal(self, purpose: str, blob: bytes) -> bytes:
        """What ``seal`` was given for the same purpose. Raises Unreadable, Unavailable."""
        if blob[:1] != _FORMAT or len(blob) < 5:
            raise Unreadable
        version = int.from_bytes(blob[1:5], "big")
        return _open(self._service(version), blob[5:], _purpose_aad(purpose))

    def mac(self, purpose: str, data: bytes) -> bytes:
        """Proof that this service vouched for ``data`` (AES-GCM of its digest). Raises
        Unavailable."""
        return self.seal(f"mac {purpose}", hashlib.sha256(data).digest())

    def vouched(self, purpose: str, data: bytes, mac: bytes) -> bool:
        """Whether ``mac`` gave this ``mac`` for the same purpose and data. Raises Unavailable."""
        try:
            found = self.unseal(f"mac {purpose}", mac)
        except Unreadable:
            return False
        return hmac.compare_digest(found, hashlib.sha256(data).digest())

    def rotate(self) -> int:
        """Make a new service key version and return it. What older versions sealed stays readable;
        other instances begin to seal with the new one within five minutes."""
        version = self._outside(lambda: self._create(after=self._newest()))
        with self._keys.lock:
            self._keys.current, self._keys.current_until = version, _soon()
        return version

    def _current(self) -> int:
        """The version to seal with, created at first use."""
        keys = self._keys
        if time.monotonic() < keys.current_until:
            return keys.current
        with keys.lock:
            if time.monotonic() >= keys.current_until:
                newest = self._outside(lambda: self._newest() or self._create(after=0))
                keys.current, keys.current_until = newest, _soon()
            return keys.current

    def _service(self, version: int) -> Any:
        """The cipher of a service key version, unwrapped by the KMS once per process."""
        keys = self._keys
        found = keys.by_version.get(version)
        if found is None:
            with keys.lock:
                found = keys.by_version.get(version)
                if found is None:
                    found = keys.by_version[version] = self._outside(lambda: self._load(version))
        return found

    def _newest(self) -> int:
        rows = self._db.all("select version from service_keys order by version desc limit 1")
        return int(rows[0]["version"]) if rows else 0

    def _create(self, after: int) -> int:
        # Two instances may race for a version: the loser's key is never used, both read the same.
        version = after + 1
        self._db.all(
            "insert into service_keys (version, wrapped) values (:version, :wrapped)"
            " on conflict (version) do nothing returning version",
            version=version,
            wrapped=self._key_service().wrap(os.urandom(_KEY), _service_aad(version)),
        )
        return version

    def _load(self, version: int) -> Any:
        rows = self._db.all(
            "select wrapped from service_keys where version = :version", version=version
        )
        if not rows:
            raise Unreadable(f"service key {version} is missing")
        return _aead(self._key_service().unwrap(rows[0]["wrapped"], _service_aad(version)))

    def _key_service(self) -> Kms:
        return self._kms or kms(config().kms_key)

    def _outside(self, work: Callable[[], T]) -> T:
        """Run ``work`` on a connection of its own.

        The calling thread may be inside a transaction: a service key made there could be rolled
        back after this process has begun to seal with it.
        """
        result: list[T] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                result.append(work())
            except BaseException as raised:  # noqa: BLE001 - raised again by the waiting thread
                failure.append(raised)
            finally:
                self._db.close()

        thread = threading.Thread(target=run, name="service-key")
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return result[0]


def shred(tx: Statements, subject: UUID) -> bool:
    """Delete the key of ``subject``, and with it all that it sealed; whether there was one."""
    return tx.run(SHRED, person=subject) > 0


def blind_index(domain: str, value: str) -> bytes:
    """32 bytes that are equal for equal values of one ``domain`` and say nothing else.

    For look-up and uniqueness of encrypted fields; normalise ``value`` first (HMAC-SHA256).
    """
    name = domain.encode()
    message = len(name).to_bytes(2, "big") + name + value.encode()
    return hmac.new(config().blind_index_key, message, hashlib.sha256).digest()


def _aead(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _open(aead: Any, blob: bytes, aad: bytes, at: int = 0) -> bytes:
    rest = at + _NONCE
    try:
        return bytes(aead.decrypt(blob[at:rest], blob[rest:], aad))
    except Exception as error:  # noqa: BLE001 -- importing what it may be costs as much as opening
        from cryptography.exceptions import InvalidTag

        raise (Unreadable if isinstance(error, InvalidTag | ValueError) else error) from None


def _service_aad(version: int) -> bytes:
    return b"dentalhelp service key %d" % version


def _subject_aad(subject: UUID) -> bytes:
    return b"subject\0" + subject.bytes


def _purpose_aad(purpose: str) -> bytes:
    return b"purpose\0" + purpose.encode()


def _soon() -> float:
    return time.monotonic() + _CURRENT_FOR
