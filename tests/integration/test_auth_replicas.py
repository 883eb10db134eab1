"""What others keep replicas of: the roles of staff and the clinics, told at every change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from functions.auth.main import service as auth
from shared.bus import Subscription, parse_push
from shared.messages import Envelope
from tests.platform import PASSWORD, Platform

CLINIC = {"address": "Str. Lungă 1", "time_zone": "Europe/Bucharest", "languages": ["ro", "en"]}


class Told(Platform):
    """The platform, and what auth has told."""

    def __init__(self, service_db: Callable[[str], str]) -> None:
        super().__init__(service_db, services=("auth",))
        self.told: list[Envelope] = []
        tap = Subscription("tap.auth", "auth", "tap", "http://memory")
        self.bus.subscribe(tap, self._hear)

    def _hear(self, body: bytes) -> int:
        self.told.append(Envelope.parse(parse_push(body).data))
        return 204

    def about(self, key: str, name: str) -> list[tuple[int | None, dict[str, Any]]]:
        """(version, payload) of every message ``name`` about ``key`` so far."""
        self.drain()
        return [
            (env.metadata.aggregate_version, env.payload)
            for env in self.told
            if env.event_type == name and env.metadata.aggregate_id == key
        ]

    def roles(self, person: str) -> list[tuple[int | None, list[str]]]:
        """(version, roles) as told."""
        return [
            (version, [held["role"] for held in payload["roles"]])
            for version, payload in self.about(person, "ROLES_CHANGED")
        ]

    def new_staff(self, admin: str, email: str, **more: Any) -> dict[str, Any]:
        """A RECEPTIONIST; the answer's body."""
        body = {
            "email": email,
            "first_name": "Ion",
            "last_name": "Ionescu",
            "roles": [{"role": "RECEPTIONIST"}],
            **more,
        }
        made = self.call("POST", "/api/auth/users", body, token=admin)
        assert 201 == made.status_code, made.text
        found: dict[str, Any] = made.json or {}
        return found


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Told:
    """One platform for this module."""
    return Told(service_db)


@pytest.fixture(scope="module")
def admin(platform: Told) -> str:
    """A group-wide ADMIN's token."""
    return platform.admin()


def test_roles_are_told_at_every_change(platform: Told, admin: str) -> None:
    """Made, given other roles, deactivated and opened again: each with the account's version."""
    clinic = platform.call("POST", "/api/auth/clinics", {"name": "Vest", **CLINIC}, token=admin)
    person = platform.new_staff(admin, "ana@example.com", password=PASSWORD)["id"]
    path = f"/api/auth/users/{person}"
    etag = {"If-Match": platform.call("GET", path, token=admin).headers["ETag"]}
    here = str((clinic.json or {})["id"])
    wanted = {"roles": [{"role": "DENTIST", "clinic_id": here}]}
    put = platform.call("PUT", f"{path}/roles", wanted, token=admin, headers=etag)
    assert 200 == put.status_code, put.text
    for change in ("deactivate", "deactivate", "reactivate", "reactivate"):
        assert 204 == platform.call("POST", f"{path}/{change}", token=admin).status_code
    expected = [(1, ["RECEPTIONIST"]), (2, ["DENTIST"]), (3, []), (4, ["DENTIST"])]
    assert expected == platform.roles(person)
    [first, second, *_] = platform.about(person, "ROLES_CHANGED")
    assert None is first[1]["roles"][0]["clinic_id"]
    assert here == second[1]["roles"][0]["clinic_id"]


def test_the_first_admin_and_no_patient_is_told_of(platform: Told, admin: str) -> None:
    """Roles are what staff hold: the first ADMIN's are told, a patient's are not."""
    me = (platform.call("GET", "/api/auth/me", token=admin).json or {})["id"]
    assert (1, ["ADMIN"]) == platform.roles(me)[0]
    patient = platform.call(
        "POST",
        "/api/auth/register",
        {"email": "p@example.com", "password": PASSWORD, "first_name": "P", "last_name": "Q"},
    )
    assert [] == platform.roles((patient.json or {})["patient_id"])


def test_who_is_erased_holds_no_role(platform: Told, admin: str) -> None:
    """Asking for an erasure closes the account at once, and so it is told."""
    person = platform.new_staff(admin, "gone@example.com", password=PASSWORD)["id"]
    asked = platform.call("POST", "/api/auth/erasures", {"patient_id": person}, token=admin)
    assert 202 == asked.status_code, asked.text
    assert [(1, ["RECEPTIONIST"]), (2, [])] == platform.roles(person)


def test_clinics_are_told_as_they_are(platform: Told, admin: str) -> None:
    """A new clinic and every change of it, with its version and without its address."""
    made = platform.call("POST", "/api/auth/clinics", {"name": "Sud", **CLINIC}, token=admin)
    clinic = str((made.json or {})["id"])
    body = {"name": "Sud", **CLINIC, "time_zone": "Asia/Jakarta"}
    etag = {"If-Match": made.headers["ETag"]}
    path = f"/api/auth/clinics/{clinic}"
    assert 200 == platform.call("PUT", path, body, token=admin, headers=etag).status_code
    assert 412 == platform.call("PUT", path, body, token=admin, headers=etag).status_code
    same = {"clinic_id": clinic, "name": "Sud", "languages": ["ro", "en"]}
    assert [
        (1, {**same, "time_zone": "Europe/Bucharest"}),
        (2, {**same, "time_zone": "Asia/Jakarta"}),
    ] == platform.about(clinic, "CLINIC_UPDATED")


def test_what_was_there_before_is_told_once(platform: Told, admin: str) -> None:
    """Rows from before anybody was told are told by a job: as they are now, and never again."""
    made = platform.call("POST", "/api/auth/clinics", {"name": "Est", **CLINIC}, token=admin)
    clinic = str((made.json or {})["id"])
    open_ = platform.new_staff(admin, "open@example.com", password=PASSWORD)["id"]
    closed = platform.new_staff(admin, "closed@example.com", password=PASSWORD)["id"]
    assert (
        204
        == platform.call("POST", f"/api/auth/users/{closed}/deactivate", token=admin).status_code
    )
    platform.drain()
    platform.told.clear()
    platform.databases["auth"].all("update clinics set told = false where id = :id", id=clinic)
    platform.databases["auth"].all(
        "update user_roles set told = false where user_id = any(:ids::uuid[])", ids=[open_, closed]
    )
    assert [3, 0] == [auth.jobs["tell"].run(), auth.jobs["tell"].run()]
    assert [(1, ["RECEPTIONIST"])] == platform.roles(open_)
    assert [(2, [])] == platform.roles(closed)
    assert [1] == [version for version, _ in platform.about(clinic, "CLINIC_UPDATED")]


def test_an_invitation_of_staff_carries_its_link(platform: Told, admin: str) -> None:
    """Who has no password yet is invited by the link that the answer shows, a newer one too."""
    made = platform.new_staff(admin, "new@example.com", language="ro")
    again = platform.call("POST", f"/api/auth/users/{made['id']}/invitation", token=admin)
    told = platform.about(made["id"], "USER_INVITED")
    assert [1, 2] == [version for version, _ in told]
    assert [made["link"], (again.json or {})["link"]] == [payload["link"] for _, payload in told]
    assert {"ro"} == {payload["language"] for _, payload in told}
