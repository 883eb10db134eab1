"""Service keys are rotated, and people's keys moved under the new version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from uuid import UUID

import pytest

from shared.crypto import Subject, Vault
from shared.db import Database, Tx
from shared.rotation import rotate
from shared.types import uuid7


@pytest.fixture
def db(kit_db: Callable[[], str]) -> Database:
    """A service's database with nothing but the kit's tables."""
    return Database(kit_db())


def _people(db: Database, vault: Vault, count: int) -> dict[UUID, bytes]:
    """People, each with something sealed."""
    people = [uuid7() for _ in range(count)]
    sealed: dict[UUID, bytes] = {}

    def work(tx: Tx) -> None:
        for person in people:
            blob = vault.new_subject(tx, person).seal("name", f"told by {person}")
            assert blob is not None
            sealed[person] = blob

    db.transaction(work)
    return sealed


def _versions(db: Database) -> set[int]:
    return {row["version"] for row in db.all("select distinct version from subject_keys")}


def _subject(db: Database, vault: Vault, person: UUID) -> Subject:
    row = db.one("select version, wrapped from subject_keys where subject = :p", p=person)
    assert row is not None
    return vault.subject(person, row["version"], row["wrapped"])


def test_a_young_key_stays(db: Database) -> None:
    """Nothing happens before the key is old, nor where there is none yet."""
    vault = Vault(db)
    assert 0 == rotate(db, vault)
    _people(db, vault, 2)
    assert 0 == rotate(db, vault)
    assert {1} == _versions(db)


def test_an_old_key_is_replaced_and_everything_stays_readable(db: Database) -> None:
    """Every person's key moves under the new version, in batches, and opens what it sealed."""
    vault = Vault(db)
    sealed = _people(db, vault, 1203)
    for_the_service = vault.seal("test", b"kept")
    assert 1203 == rotate(db, vault, life=timedelta(0))
    assert {2} == _versions(db)
    for fresh in (vault, Vault(Database(db._url))):
        for person in list(sealed)[::100]:
            text = _subject(db, fresh, person).unseal("name", sealed[person])
            assert f"told by {person}" == text
        assert b"kept" == fresh.unseal("test", for_the_service)


def test_two_rotations_at_once_move_each_key_once(db: Database) -> None:
    """Instances that rotate at the same time share the work, and nothing becomes unreadable."""
    vault = Vault(db)
    sealed = _people(db, vault, 1500)
    vault.rotate()
    moved: list[int] = []

    def run() -> None:
        moved.append(rotate(db, Vault(db)))
        db.close()

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1500 == sum(moved)
    assert {2} == _versions(db)
    for person, blob in list(sealed.items())[::150]:
        assert f"told by {person}" == _subject(db, vault, person).unseal("name", blob)
