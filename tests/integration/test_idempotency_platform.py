"""Idempotency-Key on real routes: accounts, sessions and passwords, repeated and raced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from functions.auth import domain
from functions.auth.service import keys
from shared.db import Tx
from shared.testing import frozen
from tests.platform import PASSWORD, Platform, person


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    return Platform(service_db)


def _post(
    platform: Platform, path: str, body: Any = None, *, key: str, token: str | None = None
) -> TestResponse:
    headers = {"Idempotency-Key": key}
    return platform.call("POST", f"/api/auth{path}", body, token=token, headers=headers)


def _accounts(platform: Platform) -> int:
    row = platform.databases["auth"].one("select count(*) as n from users") or {}
    return int(row["n"])


def _patients(platform: Platform) -> int:
    row = platform.databases["patient"].one("select count(*) as n from patients") or {}
    return int(row["n"])


def test_a_repeated_registration_is_one_account(platform: Platform) -> None:
    """The second answer is the first, not "the address is taken"; one saga, one patient."""
    before, body = _accounts(platform), person("twice@example.com")
    patients = _patients(platform)
    first = _post(platform, "/register", body, key="register")
    platform.drain()
    second = _post(platform, "/register", body, key='"register"')
    platform.drain()
    assert [201, 201] == [first.status_code, second.status_code]
    assert (first.data, first.headers["Location"]) == (second.data, second.headers["Location"])
    assert before + 1 == _accounts(platform)
    assert patients + 1 == _patients(platform)
    followed = platform.call("GET", first.headers["Location"]).json or {}
    assert "ACTIVE" == followed["status"]


def test_a_raced_registration_is_one_account(platform: Platform) -> None:
    """Twenty threads with one key: one account; the others are 409 for now or get its answer."""
    before, body = _accounts(platform), person("raced@example.com")
    gate = threading.Barrier(20)

    def attempt(_: int) -> tuple[int, bytes, str]:
        gate.wait(60)
        answer = _post(platform, "/register", body, key="raced")
        for db in platform.databases.values():
            db.close()
        return answer.status_code, answer.data, (answer.json or {}).get("type", "")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(attempt, range(20)))
    good = {data for status, data, _ in answers if status == 201}
    assert {_post(platform, "/register", body, key="raced").data} == good
    assert {(409, "urn:dentalhelp:problem:idempotency-in-progress")} >= {
        (status, kind) for status, _, kind in answers if status != 201
    }
    assert before + 1 == _accounts(platform)


def test_a_taken_address_is_refused_under_a_key(platform: Platform) -> None:
    """Somebody else's registration stays a conflict, is not stored, and leaves no account."""
    platform.register("owned@example.com")
    before = _accounts(platform)
    for _ in range(2):
        answer = _post(platform, "/register", person("owned@example.com"), key="late")
        assert (409, "urn:dentalhelp:problem:email-taken") == (
            answer.status_code,
            (answer.json or {})["type"],
        )
    assert before == _accounts(platform)


def test_wrong_passwords_with_keys_are_throttled(platform: Platform) -> None:
    """An attempt counts although the request is refused and rolled back, with one key or many."""
    platform.register("guessed@example.com")
    body = {"email": "guessed@example.com", "password": "wrong"}
    allowed = domain.ACCOUNT_LIMIT
    tried = [
        _post(platform, "/login", body, key=f"guess{number // 2}").status_code
        for number in range(allowed + 1)
    ]
    assert [*[401] * allowed, 429] == tried
    platform.databases["auth"].all("delete from login_attempts")


def test_a_wrong_current_password_with_a_key_is_counted(platform: Platform) -> None:
    """So it is where the attempt is made by somebody who is logged in."""
    platform.register("inside@example.com")
    token = platform.token("inside@example.com")
    body = {"current_password": "wrong", "new_password": "quiet-lamp-walks-home"}
    allowed = domain.ACCOUNT_LIMIT
    tried = [
        _post(platform, "/me/password", body, key="in", token=token).status_code
        for _ in range(allowed + 1)
    ]
    assert [*[403] * allowed, 429] == tried
    platform.databases["auth"].all("delete from login_attempts")


def test_a_repeated_log_in_is_one_session(platform: Platform) -> None:
    """The same tokens come again, and they work."""
    made = platform.register("session@example.com")
    body = {"email": "session@example.com", "password": PASSWORD}
    first, second = (_post(platform, "/login", body, key="session") for _ in range(2))
    assert (200, first.data) == (first.status_code, second.data)
    token = (second.json or {})["access_token"]
    assert 200 == platform.call("GET", "/api/auth/me", token=token).status_code
    row = platform.databases["auth"].one(
        "select count(*) as n from sessions where user_id = :id::uuid", id=made["patient_id"]
    )
    assert {"n": 1} == row


def test_a_repeated_change_of_password_succeeds_again(platform: Platform) -> None:
    """Although the current password is another one by then."""
    platform.register("changes@example.com")
    token = platform.token("changes@example.com")
    body = {"current_password": PASSWORD, "new_password": "quiet-lamp-walks-home"}
    answers = [
        _post(platform, "/me/password", body, key="change", token=token).status_code
        for _ in range(2)
    ]
    assert [204, 204] == answers
    assert platform.token("changes@example.com", "quiet-lamp-walks-home")


def test_a_reused_refresh_token_ends_the_session_under_a_key(platform: Platform) -> None:
    """The answer is 401 and the session's end stands all the same."""
    platform.register("reused@example.com")
    old = platform.login("reused@example.com")["refresh_token"]
    first = platform.call("POST", "/api/auth/refresh", {"refresh_token": old}).json or {}
    for token in (first["refresh_token"],):
        newest = platform.call("POST", "/api/auth/refresh", {"refresh_token": token}).json or {}
    assert 401 == _post(platform, "/refresh", {"refresh_token": old}, key="thief").status_code
    again = platform.call("POST", "/api/auth/refresh", {"refresh_token": newest["refresh_token"]})
    assert 401 == again.status_code


def test_a_signing_key_made_under_a_key_stands(platform: Platform) -> None:
    """A request that is refused does not take back the key that signs for this process."""
    platform.register("signs@example.com")
    platform.token("signs@example.com")
    db, before = platform.databases["auth"], len(keys.verification_keys())

    def ask(tx: Tx) -> None:
        tx.run("select 1")

    with frozen() as standing, db.holding(ask):
        standing.advance(domain.KEY_LIFE + timedelta(days=1))
        db.transaction(ask)
        assert 1 == keys.rotate()
    assert before + 1 == len(keys.verification_keys())


def test_keys_are_each_callers_own(platform: Platform) -> None:
    """Two ADMINs may use one key; each gets an answer of their own."""
    tokens = [
        platform.staff(f"chief{number}@example.com", {"role": "ADMIN"}) for number in range(2)
    ]
    clinics = []
    for token in tokens:
        body = {
            "name": f"Centru {uuid4()}",
            "address": "Str. Lungă 1",
            "time_zone": "Europe/Bucharest",
            "languages": ["ro"],
        }
        pair = [_post(platform, "/clinics", body, key="c", token=token) for _ in range(2)]
        assert [201, 201] == [answer.status_code for answer in pair]
        assert pair[0].data == pair[1].data
        clinics.append((pair[0].json or {})["id"])
    assert 2 == len(set(clinics))
