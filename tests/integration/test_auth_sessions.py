"""Log-in, tokens and the own account, over HTTP on a real database."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from functions.auth import domain
from functions.auth.service import keys
from shared.clocks import set_clock
from shared.testing import FrozenClock, frozen
from tests.platform import PASSWORD, Platform

EMAIL = "ana@example.com"


@pytest.fixture(scope="module")
def shared_platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    return Platform(service_db)


@pytest.fixture
def platform(shared_platform: Platform) -> Platform:
    """The platform with a registered patient and fresh throttles."""
    db = shared_platform.databases["auth"]
    db.transaction(lambda tx: tx.run("delete from login_attempts"))
    if not db.all("select 1 from users where email = :e", e=EMAIL):
        shared_platform.register(EMAIL)
    return shared_platform


def _me(platform: Platform, token: str) -> int:
    return platform.call("GET", "/api/auth/me", token=token).status_code


def test_login_gives_a_working_pinned_token(platform: Platform) -> None:
    """The access token is an RFC 9068 ES256 JWT that /me accepts; its key is in the JWKS."""
    tokens = platform.login(EMAIL)
    header = jwt.get_unverified_header(tokens["access_token"])
    published = platform.call("GET", "/api/auth/jwks.json").json or {}
    assert ("ES256", "at+jwt") == (header["alg"], header["typ"])
    assert header["kid"] in [key["kid"] for key in published["keys"]]
    assert all("d" not in key for key in published["keys"])
    assert ("Bearer", 600) == (tokens["token_type"], tokens["expires_in"])
    me = platform.call("GET", "/api/auth/me", token=tokens["access_token"]).json or {}
    assert (EMAIL, "ACTIVE") == (me["email"], me["status"])


def test_wrong_and_unknown_look_alike(platform: Platform) -> None:
    """A wrong password and an unknown account give the same answer."""
    answers = [
        platform.call("POST", "/api/auth/login", {"email": email, "password": "wrong password 1"})
        for email in (EMAIL, "nobody@example.com")
    ]
    assert {401} == {answer.status_code for answer in answers}
    assert 1 == len({answer.text for answer in answers})


def test_guessing_is_throttled_per_account(platform: Platform) -> None:
    """After ten attempts even the right password must wait; other accounts need not."""
    body = {"email": EMAIL, "password": "wrong password 1"}
    for _ in range(domain.ACCOUNT_LIMIT):
        assert 401 == platform.call("POST", "/api/auth/login", body).status_code
    blocked = platform.call("POST", "/api/auth/login", {**body, "password": PASSWORD})
    assert 429 == blocked.status_code
    assert 0 < int(blocked.headers["Retry-After"]) <= 900
    other = platform.call("POST", "/api/auth/login", {**body, "email": "other@example.com"})
    assert 401 == other.status_code


def test_parallel_guesses_all_count(platform: Platform) -> None:
    """Attempts made at once cannot slip past the limit."""
    body = {"email": EMAIL, "password": "wrong password 1"}

    def guess(_: int) -> int:
        return platform.call("POST", "/api/auth/login", body).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(guess, range(3 * domain.ACCOUNT_LIMIT)))
    assert domain.ACCOUNT_LIMIT == codes.count(401)
    assert 2 * domain.ACCOUNT_LIMIT == codes.count(429)


def test_throttling_ends_with_its_window(platform: Platform) -> None:
    """When the window is over the right password works again."""
    body = {"email": EMAIL, "password": "wrong password 1"}
    for _ in range(domain.ACCOUNT_LIMIT + 1):
        platform.call("POST", "/api/auth/login", body)
    clock = FrozenClock(datetime.now(UTC))
    clock.advance(domain.THROTTLE_WINDOW + timedelta(seconds=1))
    old = set_clock(clock)
    try:
        again = platform.call("POST", "/api/auth/login", {**body, "password": PASSWORD})
        assert 200 == again.status_code
    finally:
        set_clock(old)


def _refresh(platform: Platform, token: str) -> Any:
    return platform.call("POST", "/api/auth/refresh", {"refresh_token": token})


def test_refresh_rotates(platform: Platform) -> None:
    """A refresh gives a new pair; the chain goes on."""
    first = platform.login(EMAIL)
    second = _refresh(platform, first["refresh_token"]).json
    third = _refresh(platform, second["refresh_token"]).json
    assert 3 == len({p["refresh_token"] for p in (first, second, third)})
    assert 200 == _me(platform, third["access_token"])


def test_a_lost_answer_may_be_asked_for_again(platform: Platform) -> None:
    """The identical request within seconds gets the same refresh token, also when raced."""
    first = platform.login(EMAIL)["refresh_token"]
    with frozen(), ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: _refresh(platform, first), range(4)))
    assert {200} == {answer.status_code for answer in answers}
    assert 1 == len({answer.json["refresh_token"] for answer in answers})


def test_reuse_ends_the_session(platform: Platform) -> None:
    """An old token used after its successor was used ends the whole family, access included."""
    first = platform.login(EMAIL)
    second = _refresh(platform, first["refresh_token"]).json
    third = _refresh(platform, second["refresh_token"]).json
    assert 401 == _refresh(platform, first["refresh_token"]).status_code
    assert 401 == _refresh(platform, third["refresh_token"]).status_code
    time.sleep(1.1)  # the revocations' snapshot is at most a second old
    assert 401 == _me(platform, third["access_token"])


def test_a_retry_after_the_grace_is_reuse(platform: Platform) -> None:
    """Ten seconds later the same request is no retry any more."""
    first = platform.login(EMAIL)["refresh_token"]
    second = _refresh(platform, first).json["refresh_token"]
    clock = FrozenClock(datetime.now(UTC))
    clock.advance(domain.RETRY_GRACE + timedelta(seconds=1))
    old = set_clock(clock)
    try:
        assert 401 == _refresh(platform, first).status_code
    finally:
        set_clock(old)
    assert 401 == _refresh(platform, second).status_code


def test_logout_ends_the_session_in_every_service(platform: Platform) -> None:
    """After a log-out neither token works, in auth and elsewhere; other sessions go on."""
    tokens, other = platform.login(EMAIL), platform.login(EMAIL)
    access = tokens["access_token"]
    person = (platform.call("GET", "/api/auth/me", token=access).json or {})["id"]
    assert 200 == platform.call("GET", f"/api/patients/{person}", token=access).status_code
    assert 204 == platform.call("POST", "/api/auth/logout", token=access).status_code
    platform.drain()
    time.sleep(1.1)
    assert 401 == _me(platform, access)
    assert 401 == platform.call("GET", f"/api/patients/{person}", token=access).status_code
    assert 401 == _refresh(platform, tokens["refresh_token"]).status_code
    assert 200 == _me(platform, other["access_token"])


def test_the_email_follows_to_the_patient(platform: Platform) -> None:
    """A changed e-mail address logs in at once and reaches patient; the old one is free."""
    made = platform.register("before@example.com")
    token = platform.token("before@example.com")
    body = {"email": "After@Example.com", "password": PASSWORD}
    changed = platform.call("PATCH", "/api/auth/me/email", body, token=token)
    assert (200, "after@example.com") == (changed.status_code, (changed.json or {})["email"])
    platform.drain()
    token = platform.token("after@example.com")
    seen = platform.call("GET", f"/api/patients/{made['patient_id']}", token=token).json or {}
    assert "after@example.com" == seen["email"]
    assert (
        201
        == platform.call(
            "POST",
            "/api/auth/register",
            {
                "email": "before@example.com",
                "password": PASSWORD,
                "first_name": "Next",
                "last_name": "Person",
            },
        ).status_code
    )


def test_the_email_needs_the_password_and_must_be_free(platform: Platform) -> None:
    """A wrong password is 403, a taken address 409, and nothing changes."""
    platform.register("taken@example.com")
    token = platform.token(EMAIL)
    wrong = {"email": "new@example.com", "password": "not my password"}
    assert 403 == platform.call("PATCH", "/api/auth/me/email", wrong, token=token).status_code
    taken = {"email": "taken@example.com", "password": PASSWORD}
    answer = platform.call("PATCH", "/api/auth/me/email", taken, token=token)
    assert (409, "urn:dentalhelp:problem:email-taken") == (
        answer.status_code,
        (answer.json or {})["type"],
    )
    assert EMAIL == (platform.call("GET", "/api/auth/me", token=token).json or {})["email"]


def test_a_new_password_ends_the_other_sessions(platform: Platform) -> None:
    """The old password and other sessions stop working, the session at hand goes on."""
    platform.register("pw@example.com")
    here, there = platform.login("pw@example.com"), platform.login("pw@example.com")
    new = "quiet-lamp-walks-home"
    body = {"current_password": PASSWORD, "new_password": new}
    answer = platform.call("POST", "/api/auth/me/password", body, token=here["access_token"])
    assert 204 == answer.status_code, answer.text
    time.sleep(1.1)
    assert 401 == _me(platform, there["access_token"])
    assert 200 == _me(platform, here["access_token"])
    old = {"email": "pw@example.com", "password": PASSWORD}
    assert 401 == platform.call("POST", "/api/auth/login", old).status_code
    assert platform.token("pw@example.com", new)


def test_keys_rotate_without_ending_sessions(platform: Platform) -> None:
    """The next key is published before it signs; tokens of the old key stay valid."""
    before = platform.token(EMAIL)
    assert 0 == keys.rotate()
    clock = FrozenClock(datetime.now(UTC))
    old = set_clock(clock)
    try:
        clock.advance(domain.KEY_LIFE + timedelta(days=1))
        assert 1 == keys.rotate()
        published = (platform.call("GET", "/api/auth/jwks.json").json or {})["keys"]
        assert 2 == len(published)
        signing = keys.signing_key().kid
        assert jwt.get_unverified_header(before)["kid"] == signing
        clock.advance(domain.KEY_LEAD + timedelta(minutes=1))
        keys._cached = None
        assert signing != keys.signing_key().kid
    finally:
        set_clock(old)
        keys._cached = None
    assert 200 == _me(platform, before)
