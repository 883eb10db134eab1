"""An account's history: every change is in it, and an erasure leaves nothing that can be read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest

from functions.auth.main import service
from functions.auth.service import accounts
from functions.auth.store import history as store
from infra.local.postgres import Cluster
from shared.clocks import clock
from shared.runtime import vault
from tests.account_history import model, move, shown, status, whats
from tests.erasure_stack import EMAIL, as_superuser, enter, erase, found_in
from tests.platform import PASSWORD, Platform, person

_NEW = "gravel-otter-sings-5"
_PERSONAL = {"ACCOUNT_CREATED", "EMAIL_CHANGED"}
_PATIENT = {"role": "PATIENT", "clinic_id": None}


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    return Platform(service_db)


@pytest.fixture(scope="module")
def admin(platform: Platform) -> str:
    """A group-wide ADMIN's token."""
    return platform.admin()


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
        assert 3 == len(whats(platform, who, token))
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
