"""Staff, roles per clinic, clinics, and what happens to tokens of people who leave."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.auth.service import staff
from tests.platform import PASSWORD, Platform

CLINIC = {"address": "Str. Lungă 1", "time_zone": "Europe/Bucharest", "languages": ["ro", "en"]}


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    return Platform(service_db)


@pytest.fixture(scope="module")
def admin(platform: Platform) -> str:
    """A group-wide ADMIN's token."""
    return platform.admin()


def _clinic(platform: Platform, admin: str, name: str) -> str:
    answer = platform.call("POST", "/api/auth/clinics", {"name": name, **CLINIC}, token=admin)
    assert 201 == answer.status_code, answer.text
    return str((answer.json or {})["id"])


def _staff(email: str, *roles: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "email": email,
        "first_name": "Ion",
        "last_name": "Ionescu",
        "password": PASSWORD,
        "roles": list(roles),
        **more,
    }


def test_there_is_one_first_admin(platform: Platform, admin: str) -> None:
    """Asking for a first ADMIN again, also at once from several sides, makes no second one."""
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: staff.first_admin(f"a{n}@example.com", PASSWORD), range(4)))
    assert [False] * 4 == made


def test_clinics_are_versioned(platform: Platform, admin: str) -> None:
    """An update needs the version read; a stale one is 412, a missing one 428, a taken name 409."""
    clinic = _clinic(platform, admin, "Centru")
    _clinic(platform, admin, "Nord")
    path = f"/api/auth/clinics/{clinic}"
    etag = platform.call("GET", path, token=admin).headers["ETag"]
    body = {"name": "Centru Vechi", **CLINIC}
    assert 428 == platform.call("PUT", path, body, token=admin).status_code
    match = {"If-Match": etag}
    assert 200 == platform.call("PUT", path, body, token=admin, headers=match).status_code
    assert 412 == platform.call("PUT", path, body, token=admin, headers=match).status_code
    newer = {"If-Match": platform.call("GET", path, token=admin).headers["ETag"]}
    taken = {"name": "Nord", **CLINIC}
    assert 409 == platform.call("PUT", path, taken, token=admin, headers=newer).status_code
    bad = {"name": "X", **CLINIC, "time_zone": "Mars/Base"}
    assert 422 == platform.call("POST", "/api/auth/clinics", bad, token=admin).status_code


def test_a_clinic_admin_rules_one_clinic(platform: Platform, admin: str) -> None:
    """ADMINs of a clinic may create its staff, neither other clinics' nor group-wide ones."""
    here, there = _clinic(platform, admin, "Here"), _clinic(platform, admin, "There")
    boss = platform.staff("boss@example.com", {"role": "ADMIN", "clinic_id": here})

    def create(number: int, **role: Any) -> int:
        body = _staff(f"d{number}@example.com", {"role": "DENTIST", **role})
        return platform.call("POST", "/api/auth/users", body, token=boss).status_code

    assert 201 == create(1, clinic_id=here)
    assert 403 == create(2, clinic_id=there)
    assert 403 == create(3)
    assert (
        403
        == platform.call(
            "POST", "/api/auth/clinics", {"name": "Mine", **CLINIC}, token=boss
        ).status_code
    )
    seen = platform.call("GET", "/api/auth/users", token=boss).json or {}
    assert {"boss@example.com", "d1@example.com"} == {user["email"] for user in seen["items"]}
    stranger = platform.staff("there@example.com", {"role": "DENTIST", "clinic_id": there})
    other = (platform.call("GET", "/api/auth/me", token=stranger).json or {})["id"]
    own = next(user["id"] for user in seen["items"] if user["email"] == "d1@example.com")
    codes = [
        platform.call("GET", f"/api/auth/users/{who}", token=boss).status_code
        for who in (own, other)
    ]
    assert [200, 403] == codes


def test_an_unknown_clinic_is_named(platform: Platform, admin: str) -> None:
    """A role in a clinic that does not exist is 422."""
    role = {"role": "DENTIST", "clinic_id": "00000000-0000-7000-8000-000000000000"}
    body = _staff("lost@example.com", role)
    assert 422 == platform.call("POST", "/api/auth/users", body, token=admin).status_code


def test_staff_without_password_get_a_link(platform: Platform, admin: str) -> None:
    """A staff account without a password is INVITED; a newer link voids the older."""
    body = _staff("guest@example.com", {"role": "DENTIST"}, password=None)
    made = platform.call("POST", "/api/auth/users", body, token=admin).json or {}
    path = f"/api/auth/users/{made['id']}/invitation"
    newer = (platform.call("POST", path, token=admin).json or {})["link"]

    def accept(link: str) -> int:
        sent = {"token": link.partition("#")[2], "password": PASSWORD}
        return platform.call("POST", "/api/auth/invitations/accept", sent).status_code

    assert [409, 204] == [accept(made["link"]), accept(newer)]
    assert platform.token("guest@example.com")


def test_a_deactivated_person_is_out_within_seconds(platform: Platform, admin: str) -> None:
    """Deactivation ends every token in every service; reactivation lets the person in again."""
    token = platform.staff("leaver@example.com", {"role": "DENTIST"})
    user = (platform.call("GET", "/api/auth/me", token=token).json or {})["id"]
    search = {"query": "nobody"}
    assert 200 == platform.call("POST", "/api/patients/search", search, token=token).status_code
    path = f"/api/auth/users/{user}"
    assert 204 == platform.call("POST", f"{path}/deactivate", token=admin).status_code
    assert 204 == platform.call("POST", f"{path}/deactivate", token=admin).status_code
    platform.drain()
    time.sleep(1.1)
    assert 401 == platform.call("GET", "/api/auth/me", token=token).status_code
    assert 401 == platform.call("POST", "/api/patients/search", search, token=token).status_code
    login = {"email": "leaver@example.com", "password": PASSWORD}
    assert 401 == platform.call("POST", "/api/auth/login", login).status_code
    assert 204 == platform.call("POST", f"{path}/reactivate", token=admin).status_code
    assert 200 == platform.call("POST", "/api/auth/login", login).status_code


def test_new_roles_take_effect(platform: Platform, admin: str) -> None:
    """Changed roles void the tokens that carry the old ones; a refresh carries the new ones."""
    platform.staff("mover@example.com", {"role": "ADMIN"})
    tokens = platform.login("mover@example.com")
    me = platform.call("GET", "/api/auth/me", token=tokens["access_token"])
    path = f"/api/auth/users/{(me.json or {})['id']}"
    body = {"roles": [{"role": "RECEPTIONIST"}]}
    match = {"If-Match": me.headers["ETag"]}
    put = platform.call("PUT", f"{path}/roles", body, token=admin, headers=match)
    assert 200 == put.status_code, put.text
    stale = platform.call("PUT", f"{path}/roles", body, token=admin, headers=match)
    assert 412 == stale.status_code
    time.sleep(1.1)
    gone = platform.call("GET", "/api/auth/users", token=tokens["access_token"])
    assert 401 == gone.status_code
    fresh = platform.call(
        "POST", "/api/auth/refresh", {"refresh_token": tokens["refresh_token"]}
    ).json
    assert fresh
    denied = platform.call("GET", "/api/auth/users", token=fresh["access_token"])
    assert 403 == denied.status_code


def test_an_admin_cannot_lock_everybody_out(platform: Platform, admin: str) -> None:
    """ADMINs can neither deactivate themselves nor drop their own group-wide role."""
    me = platform.call("GET", "/api/auth/me", token=admin)
    path = f"/api/auth/users/{(me.json or {})['id']}"
    assert 409 == platform.call("POST", f"{path}/deactivate", token=admin).status_code
    body = {"roles": [{"role": "DENTIST"}]}
    match = {"If-Match": me.headers["ETag"]}
    assert (
        409 == platform.call("PUT", f"{path}/roles", body, token=admin, headers=match).status_code
    )


def test_staff_lists_page_through_everybody(platform: Platform, admin: str) -> None:
    """Small pages together show the same accounts as one large page, each once."""
    whole = (platform.call("GET", "/api/auth/users?limit=200", token=admin).json or {})["items"]
    seen: list[str] = []
    cursor = ""
    while True:
        page = platform.call("GET", f"/api/auth/users?limit=2{cursor}", token=admin).json or {}
        seen += [user["id"] for user in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [user["id"] for user in whole] == seen
    bad = platform.call("GET", "/api/auth/users?cursor=nonsense", token=admin)
    assert 400 == bad.status_code
