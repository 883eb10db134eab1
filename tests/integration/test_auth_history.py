"""An account's history: every change is in it, it is a projection that proves itself, and an
erasure leaves nothing of it that can be read."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest

from functions.auth import jobs
from functions.auth.domain import Grant
from functions.auth.main import service
from functions.auth.service import accounts
from functions.auth.service import history as reading
from functions.auth.store import history as store
from functions.auth.store import users
from infra.local.postgres import Cluster
from shared.clocks import clock
from shared.crypto import Unreadable
from shared.db import Database, Tx
from shared.pages import PageQuery
from shared.runtime import vault
from tests.erasure_stack import EMAIL, as_superuser, enter, erase, found_in
from tests.integration.db_stack import together
from tests.platform import PASSWORD, Platform, person
from tests.projection_stack import held_up

_NEW = "gravel-otter-sings-5"
_PATIENT = {"role": "PATIENT", "clinic_id": None}


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    return Platform(service_db)


@pytest.fixture(scope="module")
def admin(platform: Platform) -> str:
    """A group-wide ADMIN's token."""
    return platform.admin()


def shown(platform: Platform, person_id: Any, token: str, **query: Any) -> Any:
    """What the route answers."""
    path = f"/api/auth/users/{person_id}/history?{urlencode(query)}"
    answer = platform.call("GET", path, token=token)
    assert 200 == answer.status_code, answer.text
    return answer.json


def whats(platform: Platform, person_id: Any, token: str) -> list[str]:
    """The kinds of change, in their order."""
    return [item["what"] for item in shown(platform, person_id, token)["items"]]


def move(platform: Platform, token: str, email: str) -> None:
    """The person changes their address."""
    body = {"email": email, "password": PASSWORD}
    answer = platform.call("PATCH", "/api/auth/me/email", body, token=token)
    assert 200 == answer.status_code, answer.text


def model(platform: Platform, person_id: Any) -> list[dict[str, Any]]:
    """The rows of the read model, of both sides."""
    sql = "select * from account_history_{} where person_id = :id order by version"
    db = platform.databases["auth"]
    return [row for side in "ab" for row in db.all(sql.format(side), id=UUID(str(person_id)))]


def status(platform: Platform, method: str, path: str, body: Any, token: str) -> int:
    """How a request ends."""
    return platform.call(method, f"/api/auth/{path}", body, token=token).status_code


def test_every_change_of_a_patient_is_in_it(platform: Platform, admin: str) -> None:
    """From the registration on: what changed, who did it, and the account as it was then."""
    who = platform.register("ana@example.com")["patient_id"]
    token = platform.token("ana@example.com")
    move(platform, token, "ana.pop@example.com")
    passwords = {"current_password": PASSWORD, "new_password": _NEW}
    assert 204 == status(platform, "POST", "me/password", passwords, token)
    assert 204 == status(platform, "POST", f"users/{who}/deactivate", None, admin)
    assert 204 == status(platform, "POST", f"users/{who}/reactivate", None, admin)
    boss = str((platform.call("GET", "/api/auth/me", token=admin).json or {})["id"])
    items = shown(platform, who, platform.token("ana.pop@example.com", _NEW))["items"]
    assert [
        (1, "created", "PENDING", "ana@example.com", None),
        (2, "activated", "ACTIVE", "ana@example.com", None),
        (3, "email", "ACTIVE", "ana.pop@example.com", who),
        (4, "password", "ACTIVE", "ana.pop@example.com", who),
        (5, "deactivated", "DEACTIVATED", "ana.pop@example.com", boss),
        (6, "reactivated", "ACTIVE", "ana.pop@example.com", boss),
    ] == [
        (one["version"], one["what"], one["account"]["status"], one["account"]["email"], one["by"])
        for one in items
    ]
    assert [[_PATIENT]] * 6 == [one["account"]["roles"] for one in items]


def test_which_address_on_this_date(platform: Platform, admin: str) -> None:
    """At each moment the account is as it was after the last change by then."""
    began = clock().now().isoformat()
    who = platform.register("mia@example.com")["patient_id"]
    token = platform.token("mia@example.com")
    move(platform, token, "mia.pop@example.com")
    for item in shown(platform, who, admin)["items"]:
        then = shown(platform, who, admin, as_of=item["at"])
        assert (item["version"], item["account"]) == (then["version"], then["account"])
    now = shown(platform, who, token, as_of=clock().now().isoformat())
    assert "mia.pop@example.com" == now["account"]["email"]
    path = f"/api/auth/users/{who}/history?{urlencode({'as_of': began})}"
    assert 404 == platform.call("GET", path, token=admin).status_code


def test_an_invitation_and_its_acceptance(platform: Platform, admin: str) -> None:
    """A person whom the reception registers chooses password and address later."""
    body = {name: value for name, value in person("-").items() if name not in ("email", "password")}
    made = platform.call("POST", "/api/auth/invitations", body, token=admin).json or {}
    platform.drain()
    token = made["link"].partition("#")[2]
    accepted = {"token": token, "password": PASSWORD, "email": "zoe@example.com"}
    assert 204 == platform.call("POST", "/api/auth/invitations/accept", accepted).status_code
    items = shown(platform, made["patient_id"], admin)["items"]
    assert [
        ("created", None),
        ("invited", None),
        ("password", None),
        ("email", "zoe@example.com"),
        ("activated", "zoe@example.com"),
    ] == [(item["what"], item["account"]["email"]) for item in items]


def test_staff_and_their_roles(platform: Platform, admin: str) -> None:
    """New roles are a change; what is refused or already so is none."""
    body = {
        "email": "ion@example.com",
        "first_name": "Ion",
        "last_name": "Ionescu",
        "password": PASSWORD,
        "roles": [{"role": "DENTIST"}],
    }
    who = (platform.call("POST", "/api/auth/users", body, token=admin).json or {})["id"]
    path = f"/api/auth/users/{who}/roles"
    etag = platform.call("GET", f"/api/auth/users/{who}", token=admin).headers["ETag"]
    wanted = {"roles": [{"role": "ADMIN"}]}
    for expected in (200, 412):
        answer = platform.call("PUT", path, wanted, token=admin, headers={"If-Match": etag})
        assert expected == answer.status_code
    assert 204 == status(platform, "POST", f"users/{who}/reactivate", None, admin)
    token = platform.token("ion@example.com")
    taken = {"email": "admin@example.com", "password": PASSWORD}
    assert 409 == status(platform, "PATCH", "me/email", taken, token)
    items = shown(platform, who, admin)["items"]
    assert [("created", "DENTIST"), ("roles", "ADMIN")] == [
        (item["what"], item["account"]["roles"][0]["role"]) for item in items
    ]


def test_it_comes_in_pages_and_each_look_is_recorded(platform: Platform, admin: str) -> None:
    """The pages together are the whole; a page is one row of the access log."""
    who = platform.register("pages@example.com")["patient_id"]
    token = platform.token("pages@example.com")
    for number in range(3):
        move(platform, token, f"pages{number}@example.com")
    versions: list[int] = []
    query: dict[str, Any] = {"limit": 2}
    while query:
        page = shown(platform, who, token, **query)
        versions += [item["version"] for item in page["items"]]
        query = page["next_cursor"] and {"limit": 2, "cursor": page["next_cursor"]}
    assert [1, 2, 3, 4, 5] == versions
    rows = platform.databases["auth"].all(
        "select purpose from audit_log where person_id = :id and what = 'account history'",
        id=UUID(who),
    )
    assert ["PATRQT"] * 3 == [row["purpose"] for row in rows]


def test_a_failed_registration_leaves_no_history(platform: Platform, admin: str) -> None:
    """Whoever is removed is gone from the read model, also where that was behind."""
    db = platform.databases["auth"]
    for applied in (True, False):
        body = person(f"gone{applied}@example.com")
        made = platform.call("POST", "/api/auth/register", body).json or {}
        who = UUID(made["patient_id"])
        if applied:
            assert ["created"] == whats(platform, who, admin)
        db.transaction(partial(accounts.remove_user, who))
        platform.drain()
        store.PROJECTOR.run()
        path = f"/api/auth/users/{who}/history"
        assert 404 == platform.call("GET", path, token=admin).status_code
        assert [] == model(platform, who)
        assert [None, "ACCOUNT_REMOVED"] == [
            event.fact and event.type for event in store.STORE.history(db, store.stream(who))
        ]


@pytest.mark.parametrize("behind", [False, True])
def test_an_erasure_leaves_numbers(
    platform: Platform, admin: str, cluster: Cluster, behind: bool
) -> None:
    """Nothing readable is left, in the read model nothing at all, whether it was behind or not; how
    many facts there were stays."""
    who, token = enter(platform)
    move(platform, token, f"second.{EMAIL}")
    db, auth = platform.databases["auth"], service.privacy
    facts = [
        row["fact"].get("email") for row in auth.export(db, vault("auth"), UUID(who))["events"]
    ]
    assert [EMAIL, None, f"second.{EMAIL}"] == facts
    if behind:
        # As if nobody had come to apply them yet.
        db.all("delete from account_history_a")
        db.all("update projections set epoch = 0, tx = '0', pos = 0")
    else:
        assert 3 == len(model(platform, who))
    erase(platform, who, token)
    platform.drain()
    store.PROJECTOR.run()
    path = f"/api/auth/users/{who}/history"
    assert 404 == platform.call("GET", path, token=admin).status_code
    assert [] == model(platform, who)
    history = store.STORE.history(db, store.stream(UUID(who)))
    assert [None, None] == [event.fact for event in history if event.type in _PERSONAL]
    assert 4 == len(history)
    assert [] == auth.export(db, vault("auth"), UUID(who))["events"]
    assert set() == set(found_in(as_superuser(cluster, db), (EMAIL,)))
    assert [] == store.PROJECTOR.check()


_PERSONAL = {"ACCOUNT_CREATED", "EMAIL_CHANGED"}


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
    """Eight come to an older account at once."""
    who = _old(platform, cluster, "once@example.com")

    def look() -> list[str]:
        return [row["what"] for row in reading.changes(who, PageQuery()).items]

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
