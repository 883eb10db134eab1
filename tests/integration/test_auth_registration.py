"""Registration and invitations over HTTP: auth and patient with a bus in between."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from functions.auth.service import keys
from tests.platform import CNP, PASSWORD, Platform, person


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    return Platform(service_db)


def _status(platform: Platform, made: dict[str, Any]) -> dict[str, Any]:
    path = f"/api/auth/registrations/{made['registration_id']}"
    found: dict[str, Any] = platform.call("GET", path).json or {}
    return found


def test_a_registration_ends_active_with_a_profile(platform: Platform) -> None:
    """PENDING becomes ACTIVE; the profile holds what was given, the anamnesis included."""
    anamnesis = {
        "allergies": "penicillin",
        "chronic_conditions": "",
        "medications": "",
        "notes": "",
    }
    body = person("new@example.com", national_id=CNP, phone="+40 721 000 001", anamnesis=anamnesis)
    response = platform.call("POST", "/api/auth/register", body)
    made = response.json or {}
    assert (201, "PENDING") == (response.status_code, made["status"])
    assert response.headers["Location"].endswith(made["registration_id"])
    assert "PENDING" == _status(platform, made)["status"]
    assert (
        401
        == platform.call(
            "POST", "/api/auth/login", {"email": "new@example.com", "password": PASSWORD}
        ).status_code
    )
    platform.drain()
    ended = _status(platform, made)
    assert "ACTIVE" == ended["status"]
    assert ["DONE"] * 4 == [step["state"] for step in ended["steps"]]
    token = platform.token("new@example.com")
    profile = platform.call("GET", f"/api/patients/{made['patient_id']}", token=token).json or {}
    assert ("Ana", "Popescu", CNP, "new@example.com") == (
        profile["first_name"],
        profile["last_name"],
        profile["national_id"],
        profile["email"],
    )


def test_duplicates_are_refused(platform: Platform) -> None:
    """A known e-mail address or national id is 409 with a type of its own."""
    platform.register("first@example.com", national_id="1960229123452")
    email = platform.call("POST", "/api/auth/register", person("FIRST@example.com"))
    other = person("second@example.com", national_id="1960229123452")
    national = platform.call("POST", "/api/auth/register", other)
    assert [409, 409] == [email.status_code, national.status_code]
    assert "urn:dentalhelp:problem:email-taken" == (email.json or {})["type"]
    assert "urn:dentalhelp:problem:national-id-taken" == (national.json or {})["type"]
    assert "1960229123452" not in national.text


def test_one_national_id_registers_once_however_raced(platform: Platform) -> None:
    """Of many simultaneous registrations with one national id exactly one wins."""

    def attempt(number: int) -> int:
        body = person(f"race{number}@example.com", national_id="6010101123457")
        return platform.call("POST", "/api/auth/register", body).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(attempt, range(8)))
    platform.drain()
    assert [201, *[409] * 7] == sorted(codes)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"national_id": "2950101123456"}, "/national_id"),
        ({"email": "not an address"}, "/email"),
        ({"password": "password1234"}, "/password"),
        ({"birth_date": "1800-01-01"}, "/birth_date"),
        ({"language": "xx"}, "/language"),
        ({"first_name": ""}, "/first_name"),
        ({"surprise": 1}, "/surprise"),
    ],
)
def test_bad_input_is_named_and_not_echoed(
    platform: Platform, change: dict[str, Any], pointer: str
) -> None:
    """A 422 names each wrong field and never repeats what was sent."""
    answer = platform.call("POST", "/api/auth/register", {**person("bad@example.com"), **change})
    assert 422 == answer.status_code
    assert [pointer] == [error["pointer"] for error in (answer.json or {})["errors"]]
    assert "2950101123456" not in answer.text


def test_a_failed_checksum_says_so(platform: Platform) -> None:
    """A CNP whose checksum does not match is refused with that reason."""
    body = person("sum@example.com", national_id="2950101123456")
    answer = platform.call("POST", "/api/auth/register", body).json or {}
    assert "checksum" in answer["errors"][0]["detail"]


def test_a_refused_profile_removes_the_user(platform: Platform) -> None:
    """When patient refuses the profile, the account is gone and the e-mail address free again."""
    db = platform.databases["patient"]
    platform.register("holder@example.com", national_id="5010101123455")
    # The same person is unknown to auth, as after a restore of its database.
    platform.databases["auth"].transaction(
        lambda tx: tx.run("delete from users where email = 'holder@example.com'")
    )
    made = platform.register("again@example.com", national_id="5010101123455")
    ended = _status(platform, made)
    assert "FAILED" == ended["status"]
    assert ["UNDONE", "REFUSED", "SKIPPED", "SKIPPED"] == [step["state"] for step in ended["steps"]]
    assert not db.all("select 1 from patients where patient_id = :p", p=made["patient_id"])
    assert not platform.databases["auth"].all(
        "select 1 from users where email = 'again@example.com'"
    )
    assert "ACTIVE" == _status(platform, platform.register("again@example.com"))["status"]


def test_an_unknown_registration_is_404(platform: Platform) -> None:
    """Nobody can guess at registrations."""
    assert 404 == platform.call("GET", f"/api/auth/registrations/{uuid4()}").status_code


def test_reception_invites_a_person(platform: Platform) -> None:
    """An invited person without an e-mail address sets both by the link, once, and logs in."""
    desk = platform.staff("desk@example.com", {"role": "RECEPTIONIST"})
    body = {"first_name": "Vasile", "last_name": "Pop", "language": "ro"}
    response = platform.call("POST", "/api/auth/invitations", body, token=desk)
    made = response.json or {}
    assert 201 == response.status_code, response.text
    platform.drain()
    assert "ACTIVE" == _status(platform, made)["status"]
    token = made["link"].partition("#")[2]
    accept = {"token": token, "password": PASSWORD}
    missing = platform.call("POST", "/api/auth/invitations/accept", accept)
    assert 422 == missing.status_code
    accept["email"] = "vasile@example.com"
    done = platform.call("POST", "/api/auth/invitations/accept", accept)
    assert 204 == done.status_code, done.text
    assert 409 == platform.call("POST", "/api/auth/invitations/accept", accept).status_code
    platform.drain()
    access = platform.token("vasile@example.com")
    profile = platform.call("GET", f"/api/patients/{made['patient_id']}", token=access).json or {}
    assert "vasile@example.com" == profile["email"]


def test_an_invitation_is_used_once_however_raced(platform: Platform) -> None:
    """Of simultaneous uses of one link exactly one sets the password."""
    desk = platform.staff("desk2@example.com", {"role": "RECEPTIONIST"})
    body = {"first_name": "Ioana", "last_name": "Pop", "email": "ioana@example.com"}
    made = platform.call("POST", "/api/auth/invitations", body, token=desk).json or {}
    platform.drain()
    token = made["link"].partition("#")[2]

    def accept(number: int) -> int:
        sent = {"token": token, "password": f"{PASSWORD}-{number}"}
        return platform.call("POST", "/api/auth/invitations/accept", sent).status_code

    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(accept, range(6)))
    assert [204, *[409] * 5] == sorted(codes)


def test_a_forged_or_foreign_token_is_no_invitation(platform: Platform) -> None:
    """An access token, however valid, does not set a password."""
    platform.register("forge@example.com")
    sent = {"token": platform.token("forge@example.com"), "password": PASSWORD}
    assert 401 == platform.call("POST", "/api/auth/invitations/accept", sent).status_code


def test_a_patient_may_not_invite(platform: Platform) -> None:
    """Invitations are the reception's."""
    platform.register("curious@example.com")
    token = platform.token("curious@example.com")
    body = {"first_name": "A", "last_name": "B"}
    assert 403 == platform.call("POST", "/api/auth/invitations", body, token=token).status_code


def test_the_saga_keeps_no_personal_data(platform: Platform) -> None:
    """When a registration has ended, its saga row and timeline hold nothing personal."""
    platform.register("trace@example.com", national_id="2960101123458")
    db = platform.databases["auth"]
    text = str(db.all("select s::text from sagas s")) + str(
        db.all("select l::text from saga_log l")
    )
    for secret in ("trace@example.com", "2960101123458", "Popescu", PASSWORD):
        assert secret not in text
    assert not db.all("select 1 from outbox")


def test_a_corrected_national_id_counts_in_auth(platform: Platform) -> None:
    """After reception corrected a number, the old one may register and the new one may not."""
    wrong, right = "1800101123450", "1800101123469"
    made = platform.register("fix@example.com", national_id=wrong)
    desk = platform.staff("fixer@example.com", {"role": "RECEPTIONIST"})
    path = f"/api/patients/{made['patient_id']}"
    etag = platform.call("GET", path, token=desk).headers["ETag"]
    answer = platform.call(
        "PATCH", path, {"national_id": right}, token=desk, headers={"If-Match": etag}
    )
    assert 200 == answer.status_code, answer.text
    platform.drain()

    def register(email: str, number: str) -> int:
        body = person(email, national_id=number)
        return platform.call("POST", "/api/auth/register", body).status_code

    assert [409, 201] == [register("x1@example.com", right), register("x2@example.com", wrong)]


def test_the_signing_key_may_change_at_any_moment(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invitations are signed also when the key must be looked up anew at every use."""
    reception = platform.staff("moment@example.com", {"role": "ADMIN"})
    monkeypatch.setattr(keys, "_CACHE_S", 0.0)
    monkeypatch.setattr(keys, "_cached", None)
    names = {"first_name": "Ana", "last_name": "Popescu"}
    invited = platform.call("POST", "/api/auth/invitations", names, token=reception)
    assert 201 == invited.status_code, invited.text
    platform.drain()
    path = f"/api/auth/users/{(invited.json or {})['patient_id']}/invitation"
    assert 201 == platform.call("POST", path, token=reception).status_code
    staff = {**names, "email": "moment.two@example.com", "roles": [{"role": "DENTIST"}]}
    assert 201 == platform.call("POST", "/api/auth/users", staff, token=reception).status_code
