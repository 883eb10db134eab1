"""A person's export: everything that every service holds, checkable, or nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.patient.privacy import privacy as patient_privacy
from shared import client
from shared.db import Database
from shared.runtime import vault
from shared.service_identity import service_token
from tests.platform import CNP, Platform

TOLD = {"allergies": "penicilină", "notes": 'says "ah"\n\tand ☺'}


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for all; each test registers a person of its own."""
    return Platform(service_db)


def _ana(platform: Platform, **more: Any) -> tuple[str, str]:
    """A new patient with a history: (her id, her token)."""
    email = f"ana.{uuid4().hex}@example.com"
    made = platform.register(email, phone="+40721000111", anamnesis=TOLD, **more)
    return made["patient_id"], platform.token(email)


def _export(platform: Platform, patient_id: str, token: str) -> dict[str, Any]:
    answer = platform.call("GET", f"/api/auth/exports/{patient_id}", token=token)
    assert 200 == answer.status_code, answer.text
    assert (
        f'attachment; filename="dentalhelp-{patient_id}.json"'
        == (answer.headers["Content-Disposition"])
    )
    assert "no-store" == answer.headers["Cache-Control"]
    found: dict[str, Any] = json.loads(answer.data)
    return found


def _spelled(part: Any) -> str:
    """A stranger's way to check a part: RFC 8785 and SHA-256, by the book."""
    text = json.dumps(part, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def test_every_part_is_there_and_readable(platform: Platform) -> None:
    """The owner gets every service's part, what is sealed in clear text, with its checksum."""
    patient_id, token = _ana(platform, national_id=CNP)
    found = _export(platform, patient_id, token)
    assert (patient_id, {"parts", "manifest", "patient_id", "exported_at"}) == (
        found["patient_id"],
        set(found),
    )
    parts = found["parts"]
    assert set(platform.services) == set(parts)
    (user,) = parts["auth"]["users"]
    (patient,) = parts["patient"]["patients"]
    assert (CNP, patient["email"], "ACTIVE") == (
        *(user["national_id"], user["email"], user["status"]),
    )
    assert (CNP, "+40721000111") == (patient["national_id"], patient["phone"])
    (anamnesis,) = parts["patient"]["patient_anamnesis"]
    assert TOLD == {name: text for name, text in anamnesis.items() if text is not None}
    sums = {service: _spelled(part) for service, part in parts.items()}
    assert ("SHA-256", "RFC 8785", sums) == (
        *(found["manifest"][name] for name in ("algorithm", "canonicalisation", "sums")),
    )


def test_nothing_secret_is_in_it(platform: Platform) -> None:
    """An export holds no password, not even hashed, and no key or token of any kind."""
    patient_id, token = _ana(platform)
    text = json.dumps(_export(platform, patient_id, token))
    assert "@example.com" in text
    for secret in ("argon2", "password", "wrapped", "token_hash", "blind", "eyJ"):
        assert secret not in text


def test_a_part_is_what_the_tables_hold(platform: Platform) -> None:
    """Patient's part has the rows of patient's tables, each with what its row says."""
    patient_id, token = _ana(platform)
    part = _export(platform, patient_id, token)["parts"]["patient"]
    db = platform.databases["patient"]
    for table in patient_privacy.tables:
        count = db.one(
            f"select count(*) as n from {table.table} where {table.mine}", person=UUID(patient_id)
        )
        assert count is not None
        if table.show is not None:
            assert count["n"] == len(part[table.table])
        elif table.plain or table.sealed:
            assert count["n"] == len(part[table.table])
            assert [{*table.plain, *table.sealed}] * count["n"] == [
                set(row) for row in part[table.table]
            ]
        else:
            assert table.table not in part
    row = db.one("select * from patients where patient_id = :id", id=UUID(patient_id))
    assert row is not None
    (shown,) = part["patients"]
    for name in ("email", "first_name", "last_name", "language"):
        assert row[name] == shown[name]
    assert patient_privacy.export(db, vault("patient"), UUID(patient_id)) == part


def test_administrators_export_anybody(platform: Platform) -> None:
    """An ADMIN of the group may do it for a patient who asks on paper; both sides write it down."""
    patient_id, own = _ana(platform)
    admin = platform.admin()
    assert (
        _export(platform, patient_id, admin)["parts"]["patient"]
        == (_export(platform, patient_id, own)["parts"]["patient"])
    )
    me = (platform.call("GET", "/api/auth/me", token=admin).json or {})["id"]
    for service in ("auth", "patient"):
        rows = platform.databases[service].all(
            "select actor, service, what from audit_log"
            " where action = 'export' and person_id = :person order by id",
            person=UUID(patient_id),
        )
        through = None if service == "auth" else "auth"
        assert [
            {"actor": UUID(who), "service": through, "what": "everything"}
            for who in (me, patient_id)
        ] == rows


@pytest.mark.parametrize("away", ["patient", "notification"])
def test_nothing_rather_than_a_part(platform: Platform, away: str) -> None:
    """While a service is down there is no export, and the problem names that service only."""
    patient_id, token = _ana(platform)
    platform.away.add(away)
    try:
        answer = platform.call("GET", f"/api/auth/exports/{patient_id}", token=token)
    finally:
        platform.away.clear()
    assert (503, "application/problem+json") == (answer.status_code, answer.content_type)
    assert {
        "type": "urn:dentalhelp:problem:unavailable",
        "title": "Unavailable",
        "status": 503,
        "detail": f"{away} does not answer.",
        "service": away,
        "retry_after": 1,
    } == answer.json
    assert "Content-Disposition" not in answer.headers
    assert set(platform.services) == set(_export(platform, patient_id, token)["parts"])


@pytest.mark.parametrize("status", [400, 404, 409, 422, 429])
def test_a_refusal_by_a_service_is_no_word_about_the_person(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """A service that refuses, such as one without the route, is named like one that is down."""
    patient_id, token = _ana(platform)
    answers = client._transport

    def refusing(
        method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        if "/api/patients/" in url:
            return status, {}, b"{}"
        return answers(method, url, headers, body, timeout)

    monkeypatch.setattr(client, "_transport", refusing)
    answer = platform.call("GET", f"/api/auth/exports/{patient_id}", token=token)
    assert (503, "patient") == (answer.status_code, (answer.json or {}).get("service"))


def test_nobody_is_known_by_that_id(platform: Platform) -> None:
    """A person whom no service knows is 404, and nothing is written down about them."""
    person = uuid4()
    path = f"/api/auth/exports/{person}"
    assert 404 == platform.call("GET", path, token=platform.admin()).status_code
    for db in platform.databases.values():
        found = db.all("select 1 from audit_log where person_id = :person", person=person)
        assert [] == found


def test_a_large_export_is_complete(platform: Platform) -> None:
    """Thousands of rows arrive, here and through another service, with the right checksums."""
    patient_id, token = _ana(platform)

    def fill(db: Database, sql: str) -> None:
        db.all(sql, person=UUID(patient_id))

    fill(
        platform.databases["auth"],
        "insert into sessions (id, user_id, started_at, expires_at)"
        " select gen_random_uuid(), :person, now(), now() + interval '1 hour'"
        " from generate_series(1, 20000)",
    )
    fill(
        platform.databases["notification"],
        "insert into notifications (id, event_id, person_id, kind)"
        " select gen_random_uuid(), gen_random_uuid(), :person, 'WELCOME'"
        " from generate_series(1, 20000)",
    )
    found = _export(platform, patient_id, token)
    assert 20_001 == len(found["parts"]["auth"]["sessions"])
    assert 20_000 <= len(found["parts"]["notification"]["notifications"])
    sums = {service: _spelled(part) for service, part in found["parts"].items()}
    assert sums == found["manifest"]["sums"]


def test_services_hand_out_people_to_auth_only(platform: Platform) -> None:
    """Neither the person, nor an ADMIN, nor another service reads a part directly."""
    patient_id, token = _ana(platform)
    path = f"/api/patients/-/people/{patient_id}"
    asking = {
        "auth": service_token("auth", "patient"),
        "auth, of another": service_token("auth", "notification"),
        "notification": service_token("notification", "patient"),
        "owner": token,
        "admin": platform.admin(),
    }
    statuses = {
        who: platform.call("GET", path, token=token).status_code for who, token in asking.items()
    }
    assert {
        "auth": 200,
        "auth, of another": 401,
        "notification": 403,
        "owner": 403,
        "admin": 403,
    } == statuses
    assert 401 == platform.call("GET", path).status_code
