"""Field encryption: service keys, subjects' keys, shredding, blind indexes."""

from __future__ import annotations

import base64
import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config import config
from shared.crypto import Subject, Unreadable, Vault, blind_index, shred
from shared.kms import LocalKms
from shared.types import uuid7


class CountingKms(LocalKms):
    """A local KMS that counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(bytes(32))
        self.wraps = 0
        self.unwraps = 0

    def wrap(self, secret: bytes, aad: bytes) -> bytes:
        self.wraps += 1
        return super().wrap(secret, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        self.unwraps += 1
        return super().unwrap(wrapped, aad)


class SmallDatabase:
    """The keys' tables in SQLite, with a connection per thread as the real database has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.local = threading.local()
        self.connections: list[sqlite3.Connection] = []
        self.all("create table service_keys (version integer primary key, wrapped blob not null)")
        self.all(
            "create table subject_keys"
            " (subject text primary key, version integer not null, wrapped blob not null)"
        )

    def connection(self) -> sqlite3.Connection:
        if not hasattr(self.local, "connection"):
            made = sqlite3.connect(self.path, timeout=10, isolation_level=None)
            made.row_factory = sqlite3.Row
            self.local.connection = made
        connection: sqlite3.Connection = self.local.connection
        return connection

    def all(self, sql: str, /, **params: Any) -> list[dict[str, Any]]:
        ready = {k: str(v) if isinstance(v, UUID) else v for k, v in params.items()}
        return [dict(row) for row in self.connection().execute(sql, ready).fetchall()]

    def one(self, sql: str, /, **params: Any) -> dict[str, Any] | None:
        rows = self.all(sql, **params)
        return rows[0] if rows else None

    def run(self, sql: str, /, **params: Any) -> int:
        ready = {k: str(v) if isinstance(v, UUID) else v for k, v in params.items()}
        return self.connection().execute(sql, ready).rowcount

    def close(self) -> None:
        if hasattr(self.local, "connection"):
            self.local.connection.close()
            del self.local.connection


@pytest.fixture
def db(tmp_path: Path) -> Iterator[SmallDatabase]:
    """An empty key store."""
    made = SmallDatabase(tmp_path / "keys.db")
    yield made
    made.close()


@pytest.fixture
def vault(db: SmallDatabase) -> Vault:
    """A vault over the empty key store."""
    return Vault(db, CountingKms())


def read(db: SmallDatabase, vault: Vault, subject: UUID) -> Subject:
    """The subject as a data SELECT with a left join would give it."""
    row = db.one("select version, wrapped from subject_keys where subject = :s", s=subject) or {}
    return vault.subject(subject, row.get("version"), row.get("wrapped"))


def test_a_sealed_field_opens_again(db: SmallDatabase, vault: Vault) -> None:
    """What was sealed is read back through the stored key, and None stays None."""
    person = uuid7()
    blob = vault.new_subject(db, person).seal("notes", "alergie la penicilină")
    again = read(db, vault, person)
    assert "alergie la penicilină" == again.unseal("notes", blob)
    assert again.seal("notes", None) is None
    assert again.unseal("notes", None) is None


@given(text=st.text())
def test_any_text_survives(text: str) -> None:
    """Any text, the empty one too, comes back as it was and does not show in the ciphertext."""
    text = text.encode("utf-8", "ignore").decode()
    subject = Subject(uuid7(), os.urandom(32))
    blob = subject.seal("f", text)
    assert blob is not None
    assert text == subject.unseal("f", blob)
    assert blob != subject.seal("f", text)
    assert len(text.encode()) + 29 == len(blob)


def test_new_subject_keeps_the_first_key(db: SmallDatabase, vault: Vault) -> None:
    """Asking for a new key of a known person gives the one there is."""
    person = uuid7()
    blob = vault.new_subject(db, person).seal("f", "x")
    assert "x" == vault.new_subject(db, person).unseal("f", blob)
    assert 1 == len(db.all("select * from subject_keys"))


def test_shredding_ends_it(db: SmallDatabase, vault: Vault) -> None:
    """After the key row is deleted nothing opens any more, and a new key does not help."""
    person = uuid7()
    blob = vault.new_subject(db, person).seal("f", "x")
    assert shred(db, person)
    assert not shred(db, person)
    with pytest.raises(Unreadable):
        read(db, vault, person)
    with pytest.raises(Unreadable):
        vault.new_subject(db, person).unseal("f", blob)


def test_a_field_is_bound_to_its_name_and_person(db: SmallDatabase, vault: Vault) -> None:
    """A ciphertext moved to another column or another person's row does not open."""
    ana, ion = uuid7(), uuid7()
    blob = vault.new_subject(db, ana).seal("notes", "x")
    with pytest.raises(Unreadable):
        read(db, vault, ana).unseal("medications", blob)
    with pytest.raises(Unreadable):
        vault.new_subject(db, ion).unseal("notes", blob)
    row = db.one("select version, wrapped from subject_keys where subject = :s", s=ana)
    assert row is not None
    with pytest.raises(Unreadable):
        vault.subject(ion, row["version"], row["wrapped"])


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    """Whichever byte of a ciphertext is changed, or however it is cut, it does not open."""
    subject = Subject(UUID(int=1), bytes(32))
    blob = subject.seal("f", "text")
    assert blob is not None
    place = data.draw(st.integers(0, len(blob) - 1))
    flipped = bytes([blob[place] ^ data.draw(st.integers(1, 255))])
    for bad in (blob[:place] + flipped + blob[place + 1 :], blob[:place]):
        with pytest.raises(Unreadable):
            subject.unseal("f", bad)


def test_service_data_is_bound_to_its_purpose(vault: Vault) -> None:
    """Service data opens for the purpose it was sealed for, and for no other."""
    blob = vault.seal("saga", b"state")
    assert b"state" == vault.unseal("saga", blob)
    for purpose, bad in (("keys", blob), ("saga", b""), ("saga", blob[:4]), ("saga", b"\2" + blob)):
        with pytest.raises(Unreadable):
            vault.unseal(purpose, bad)
    with pytest.raises(Unreadable, match="service key 9 is missing"):
        vault.unseal("saga", blob[:1] + (9).to_bytes(4, "big") + blob[5:])


def test_the_kms_is_asked_once_per_process(db: SmallDatabase) -> None:
    """However many vaults and people, a service key is wrapped once and unwrapped once."""
    counting = CountingKms()
    for _ in range(5):
        Vault(db, counting).new_subject(db, uuid7()).seal("f", "x")
    assert (1, 1) == (counting.wraps, counting.unwraps)


def test_racing_instances_agree_on_one_key(tmp_path: Path) -> None:
    """Instances that create the first service key at once all end up with the same one."""
    first = SmallDatabase(tmp_path / "keys.db")
    instances = [object.__new__(SmallDatabase) for _ in range(6)]
    for instance in instances:
        instance.path, instance.local = first.path, threading.local()
    start = threading.Barrier(len(instances))

    def begin(instance: SmallDatabase) -> bytes:
        start.wait()
        return Vault(instance, CountingKms()).seal("p", b"x")

    with ThreadPoolExecutor(len(instances)) as pool:
        blobs = list(pool.map(begin, instances))
    assert 1 == len(first.all("select * from service_keys"))
    reader = Vault(first, CountingKms())
    assert [b"x"] * 6 == [reader.unseal("p", blob) for blob in blobs]
    first.close()


def test_a_key_made_inside_a_transaction_outlives_its_rollback(
    db: SmallDatabase, vault: Vault
) -> None:
    """A request that rolls back must not take the service key with it."""
    db.all("begin deferred")
    vault.seal("p", b"x")
    db.all("rollback")
    assert 1 == len(db.all("select * from service_keys"))


def test_rotation_keeps_old_data_readable(db: SmallDatabase) -> None:
    """After a rotation new data has the new version, old data opens, also in a new instance."""
    vault = Vault(db, CountingKms())
    person = uuid7()
    old_field = vault.new_subject(db, person).seal("f", "x")
    old = vault.seal("p", b"old")
    assert 2 == vault.rotate()
    new = vault.seal("p", b"new")
    assert (1, 2) == (old[4], new[4])
    other = SmallDatabase.__new__(SmallDatabase)
    other.path, other.local = db.path, threading.local()
    fresh = Vault(other, CountingKms())
    assert (b"old", b"new") == (fresh.unseal("p", old), fresh.unseal("p", new))
    assert "x" == read(db, fresh, person).unseal("f", old_field)
    other.close()


def test_another_kms_key_opens_nothing(db: SmallDatabase, vault: Vault) -> None:
    """With the wrong KMS key a service refuses instead of sealing under a key of its own."""
    blob = vault.seal("p", b"x")
    other = SmallDatabase.__new__(SmallDatabase)
    other.path, other.local = db.path, threading.local()
    stranger = Vault(other, LocalKms(b"\1" * 32))
    with pytest.raises(Unreadable):
        stranger.unseal("p", blob)
    with pytest.raises(Unreadable):
        stranger.seal("p", b"y")


def test_blind_index_separates_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal values match within a domain only, and only under the same key."""
    settings = {
        "DENTALHELP_ENV": "embedded",
        "BUS_URL": "postgresql://bus@/bus",
        "KMS_KEY": "local:" + base64.b64encode(bytes(32)).decode(),
        "TOKEN_ISSUER": "http://127.0.0.1:8080",
        "PUBLIC_URL": "http://127.0.0.1:8080",
        "PUSH_ISSUER": "dentalhelp-bus",
        "PUSH_JWKS_URL": "file:///dev/null",
        "PUSH_EMAIL": "bus@dentalhelp.local",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    found = []
    for key in (bytes(32), b"\1" * 32):
        monkeypatch.setenv("BLIND_INDEX_KEY", base64.b64encode(key).decode())
        config.cache_clear()
        found.append(blind_index("email", "ana@example.com"))
        assert blind_index("email", "ana@example.com") == found[-1]
        assert blind_index("national_id", "ana@example.com") != found[-1]
        assert blind_index("emaila", "na@example.com") != found[-1]
        assert 32 == len(found[-1])
    config.cache_clear()
    assert found[0] != found[1]
