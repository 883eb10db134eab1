"""An account's history is the account: whatever happens, however raced, and however old it is."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from functions.auth import jobs
from functions.auth.domain import Grant
from functions.auth.service import history as reading
from functions.auth.store import history as store
from functions.auth.store import users
from infra.local.postgres import Cluster
from shared.clocks import clock
from shared.crypto import Unreadable
from shared.db import Database, Tx
from shared.errors import Unavailable
from shared.pages import PageQuery
from tests.account_history import model, move, shown, status, whats
from tests.erasure_stack import as_superuser, erase
from tests.integration.db_stack import together
from tests.platform import PASSWORD, Platform
from tests.projection_stack import held_up


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    return Platform(service_db)


@pytest.fixture(scope="module")
def admin(platform: Platform) -> str:
    """A group-wide ADMIN's token."""
    return platform.admin()


def _row(db: Database, who: UUID) -> tuple[Any, ...]:
    row = db.one(f"select u.*, {users.ROLES} from users u where id = :id", id=who)
    assert row is not None
    return row["facts"], row["status"], row["email"], row["roles"]


def _last(who: UUID) -> tuple[Any, ...]:
    row = reading.as_of(who, clock().now())
    return row["version"], row["status"], row["email"], row["roles"]


def _anything(db: Database, who: UUID, chance: random.Random) -> None:
    """One change, by the functions that every change goes through."""

    def work(tx: Tx) -> None:
        row = users.lock(tx, who)
        assert row is not None
        what = chance.randrange(5)
        if what == 0:
            users.set_email(tx, who, f"{who}.{chance.randrange(10**6)}@example.com")
        elif what == 1:
            users.set_password(tx, who, "a hash")
        elif what == 2:
            users.set_roles(tx, who, chance.choice([[], [Grant("DENTIST")]]))
        elif what == 3:
            users.set_status(tx, who, store.Deactivated())
        else:
            users.set_status(tx, who, store.Reactivated(status="ACTIVE"))
        if chance.random() < 0.2:
            raise _Undone

    with suppress(_Undone):
        db.transaction(work, isolation="READ COMMITTED")


class _Undone(Exception):
    """The transaction is rolled back."""


@pytest.mark.parametrize("seed", range(8))
def test_the_history_replays_to_the_account(platform: Platform, admin: str, seed: int) -> None:
    """After any changes, also undone ones, the last state in the read model is the account's; and a
    read model made anew is the same, row by row."""
    chance, db = random.Random(seed), platform.databases["auth"]
    who = UUID(platform.register(f"seed{seed}@example.com")["patient_id"])
    for _ in range(chance.randrange(1, 12)):
        _anything(db, who, chance)
        if chance.random() < 0.3:
            assert _row(db, who) == _last(who)
    assert _row(db, who) == _last(who)
    before = model(platform, who)
    assert [] == store.PROJECTOR.check()
    store.PROJECTOR.rebuild()
    live = f"select * from {store.PROJECTOR.projection.live()} h where person_id = :id order by 2"
    assert [_apart(row) for row in before] == [_apart(row) for row in db.all(live, id=who)]
    assert _row(db, who) == _last(who)


def _apart(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "email"}


def test_changes_at_once_are_all_in_it(platform: Platform, admin: str) -> None:
    """Eight change one account together: one fact for each, in one order."""
    db = platform.databases["auth"]
    who = UUID(platform.register("busy@example.com")["patient_id"])
    found = together(*(lambda n=n: _anything(db, who, random.Random(1000 + n)) for n in range(8)))
    assert [None] * 8 == found
    history = store.STORE.history(db, store.stream(who))
    assert [*range(1, len(history) + 1)] == [event.version for event in history]
    assert _row(db, who) == _last(who)


def test_it_is_up_to_date_or_says_so(platform: Platform, admin: str) -> None:
    """A transaction that is open keeps what comes after it from being read in order: who looks then
    is told to come again, and never shown less than was committed."""
    who = platform.register("held@example.com")["patient_id"]
    token = platform.token("held@example.com")
    assert ["created", "activated"] == whats(platform, who, admin)
    with held_up(platform.databases["auth"]):
        move(platform, token, "late@example.com")
        answer = platform.call("GET", f"/api/auth/users/{who}/history", token=token)
        assert (503, True) == (answer.status_code, "Retry-After" in answer.headers)
    assert ["created", "activated", "email"] == whats(platform, who, token)


def _old(platform: Platform, cluster: Cluster, email: str) -> UUID:
    """An account from before there were histories, of somebody of the staff, without a key."""
    boss = platform.admin()
    name = {"email": email, "first_name": "Ion", "last_name": "Pop", "password": PASSWORD}
    body: dict[str, Any] = {**name, "roles": [{"role": "ADMIN"}]}
    made = platform.call("POST", "/api/auth/users", body, token=boss).json or {}
    who, owner = UUID(made["id"]), as_superuser(cluster, platform.databases["auth"])
    for sql in (
        "delete from events where id = :id",
        "delete from subject_keys where subject = :id",
        "delete from account_history_a where person_id = :id",
        "delete from account_history_b where person_id = :id",
        "update users set facts = 0 where id = :id",
    ):
        owner.all(sql, id=who)
    owner.close()
    return who


@pytest.mark.parametrize("what", ["email", "deactivated", "look", "job", "erased"])
def test_an_older_account_gets_its_history(
    platform: Platform, admin: str, cluster: Cluster, what: str
) -> None:
    """Whoever comes first to an account from before there were histories writes down how it was."""
    email = f"old.{what}@example.com"
    who = _old(platform, cluster, email)
    if what == "email":
        move(platform, platform.token(email), f"new.{email}")
    elif what == "deactivated":
        assert 204 == status(platform, "POST", f"users/{who}/deactivate", None, admin)
    elif what == "job":
        assert 1 == jobs.begin_histories()
        assert 0 == jobs.begin_histories()
    elif what == "erased":
        erase(platform, str(who), admin)
        platform.drain()
        assert [] == model(platform, who)
        assert 404 == status(platform, "GET", f"users/{who}/history", None, admin)
        return
    items = shown(platform, who, admin)["items"]
    assert ("begun", email, "ACTIVE") == (
        items[0]["what"],
        items[0]["account"]["email"],
        items[0]["account"]["status"],
    )
    expected = [what] if what in ("email", "deactivated") else []
    assert expected == [item["what"] for item in items[1:]]


def test_a_history_begins_once(platform: Platform, admin: str, cluster: Cluster) -> None:
    """Eight come to an older account at once; who is told to come again does so."""
    who, until = _old(platform, cluster, "once@example.com"), time.monotonic() + 60

    def look() -> list[str]:
        while True:
            try:
                return [row["what"] for row in reading.changes(who, PageQuery()).items]
            except Unavailable:
                if time.monotonic() > until:
                    raise

    found = together(*[jobs.begin_histories, look] * 4)
    assert [["begun"]] * 4 == found[1::2]
    assert [] == [one for one in found if isinstance(one, Exception)]


def test_the_read_model_alone_tells_no_address(platform: Platform, admin: str) -> None:
    """Where its rows outlive the key, as in a copy, nobody can open them."""
    who = UUID(platform.register("sealed@example.com")["patient_id"])
    assert "created" in whats(platform, who, admin)
    db = platform.databases["auth"]
    db.all("delete from subject_keys where subject = :id", id=who)
    with pytest.raises(Unreadable):
        reading.as_of(who, clock().now())
