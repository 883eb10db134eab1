"""What auth writes into the audit log about accounts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from infra.audit_verify import verify
from shared.audit_seals import Place
from shared.blobs import Blobs, blobs
from shared.config import config
from shared.runtime import vault
from tests.mail_server import MailServer
from tests.platform import PASSWORD, Platform, person


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str], server: MailServer) -> Iterator[Platform]:
    """One platform for the module, whose mails are taken at once: for each try the address is
    read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMTP_URL", server.url)
        yield Platform(service_db)
    config.cache_clear()


@pytest.fixture
def own_blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Blobs]:
    """Anchors in a directory of the test's own."""
    with monkeypatch.context() as patch:
        patch.setenv("BLOBS_URL", tmp_path.as_uri())
        for cached in (config, blobs):
            cached.cache_clear()
        yield blobs()
    for cached in (config, blobs):
        cached.cache_clear()


Entry = tuple[str, str, UUID | None, str | None]


def entries(platform: Platform, person_id: str) -> list[Entry]:
    """Action, what, actor and service of everything in the log about a person, oldest first."""
    rows = platform.databases["auth"].all(
        "select action, what, actor, service from audit_log where person_id = :id order by id",
        id=UUID(person_id),
    )
    return [(row["action"], row["what"], row["actor"], row["service"]) for row in rows]


def call(platform: Platform, method: str, path: str, body: Any = None, **more: Any) -> Any:
    """A call that succeeds; the body of its answer."""
    response = platform.call(method, f"/api/auth{path}", body, **more)
    assert response.status_code < 300, response.text
    return response.json if response.data else None


def me(platform: Platform, token: str) -> UUID:
    """Whose token this is."""
    return UUID(call(platform, "GET", "/me", token=token)["id"])


def test_a_registration_is_in_the_log(platform: Platform) -> None:
    """Nobody is signed in who registers; the saga lets them in, and the welcome is mailed."""
    patient = platform.register("first@example.com")["patient_id"]
    assert [
        ("create", "account", None, None),
        ("write", "account", None, "auth"),
        ("read", "email", None, "notification"),
    ] == entries(platform, patient)


def test_a_refused_registration_leaves_no_row(platform: Platform) -> None:
    """What was rolled back is not in the log, not even as an attempt."""
    platform.register("twice@example.com")
    count = "select count(*) as n from audit_log"
    before = platform.databases["auth"].all(count)
    body = person("twice@example.com")
    assert 409 == platform.call("POST", "/api/auth/register", body).status_code
    assert before == platform.databases["auth"].all(count)


def test_an_invitation_is_accepted_by_the_invited(platform: Platform) -> None:
    """Nobody is signed in, but the token says who it is."""
    desk = platform.admin()
    body = person("invited@example.com")
    del body["password"]
    made = call(platform, "POST", "/invitations", body, token=desk)
    platform.drain()
    token = made["link"].partition("#")[2]
    call(platform, "POST", "/invitations/accept", {"token": token, "password": PASSWORD})
    admin, patient = me(platform, desk), made["patient_id"]
    assert [
        ("create", "account", admin, None),
        ("write", "account", None, "auth"),
        ("read", "email", None, "notification"),  # the invitation is mailed
        ("write", "account", UUID(patient), None),
    ] == entries(platform, patient)


def test_own_changes_are_in_the_log(platform: Platform) -> None:
    """Looking at the own account, another address, another password."""
    patient = platform.register("own@example.com")["patient_id"]
    token, own = platform.token("own@example.com"), UUID(patient)
    before = entries(platform, patient)
    call(platform, "GET", "/me", token=token)
    change = {"email": "mine@example.com", "password": PASSWORD}
    call(platform, "PATCH", "/me/email", change, token=token)
    new = {"current_password": PASSWORD, "new_password": "quiet-ferry-turns-8"}
    call(platform, "POST", "/me/password", new, token=token)
    assert (
        [
            ("read", "account", own, None),
            ("write", "email", own, None),
            ("read", "account", own, None),  # the answer
            ("write", "password", own, None),
        ]
        == entries(platform, patient)[len(before) :]
    )


def test_staff_are_in_the_log(platform: Platform) -> None:
    """Made, listed, shown, given roles, deactivated and reactivated, by whom."""
    token = platform.admin()
    admin = me(platform, token)
    body = {
        "email": "desk@example.com",
        "first_name": "Dan",
        "last_name": "Ionescu",
        "password": PASSWORD,
        "roles": [{"role": "RECEPTIONIST"}],
    }
    made = call(platform, "POST", "/users", body, token=token)["id"]
    call(platform, "GET", "/users?limit=200", token=token)
    shown = platform.call("GET", f"/api/auth/users/{made}", token=token)
    roles = {"roles": [{"role": "DENTIST"}]}
    match = {"If-Match": shown.headers["ETag"]}
    call(platform, "PUT", f"/users/{made}/roles", roles, token=token, headers=match)
    call(platform, "POST", f"/users/{made}/deactivate", token=token)
    call(platform, "POST", f"/users/{made}/deactivate", token=token)  # changes nothing
    call(platform, "POST", f"/users/{made}/reactivate", token=token)
    assert [
        ("create", "account", admin, None),
        ("search", "account", admin, None),
        ("read", "account", admin, None),
        ("write", "roles", admin, None),
        ("read", "account", admin, None),  # the answer
        ("write", "status", admin, None),
        ("write", "status", admin, None),
    ] == entries(platform, made)


def test_a_page_of_staff_is_in_the_log_as_it_is_shown(platform: Platform) -> None:
    """Whoever is only looked up to know of a further page is not in the log."""
    token = platform.admin()
    page = call(platform, "GET", "/users?limit=1", token=token)
    db = platform.databases["auth"]
    newest = db.all("select person_id, action from audit_log order by id desc limit 1")
    assert [{"person_id": UUID(page["items"][0]["id"]), "action": "search"}] == newest


def test_an_account_that_is_not_shown_leaves_no_row(platform: Platform) -> None:
    """An ADMIN of a clinic is refused other clinics' staff: nothing was read."""
    token = platform.admin()
    clinics = []
    for name in ("North", "South"):
        body = {
            "name": name,
            "address": "Str. Lungă 1",
            "time_zone": "Europe/Bucharest",
            "languages": ["ro"],
        }
        clinics.append(call(platform, "POST", "/clinics", body, token=token)["id"])
    made = [
        call(
            platform,
            "POST",
            "/users",
            {
                "email": f"{clinic}@example.com",
                "first_name": "Ada",
                "last_name": "Pop",
                "password": PASSWORD,
                "roles": [{"role": "ADMIN", "clinic_id": clinic}],
            },
            token=token,
        )["id"]
        for clinic in clinics
    ]
    north = platform.token(f"{clinics[0]}@example.com")
    before = entries(platform, made[1])
    answer = platform.call("GET", f"/api/auth/users/{made[1]}", token=north)
    assert 403 == answer.status_code
    assert before == entries(platform, made[1])


def test_every_service_seals_its_log(platform: Platform, own_blobs: Blobs) -> None:
    """The kit's job does so by the schedule, with the service's own key and anchors."""
    platform.register("sealed@example.com")
    for name, service in platform.services.items():
        deadline = time.monotonic() + 60
        place = Place(name, platform.databases[name], vault(name), own_blobs)
        written = platform.databases[name].all("select count(*) as n from audit_log")[0]["n"]
        while verify(place).waiting:
            assert time.monotonic() < deadline
            service.jobs["seal-audit"].run()
        report = verify(place)
        assert (written, []) == (report.entries, report.findings)
