"""The erasure of a person, from the request to the receipt, over two services."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from functions.auth.service import receipts
from infra.local.postgres import Cluster
from shared.contracts.auth import EmailUpdated
from shared.contracts.gdpr import GdprDataErased
from shared.contracts.patient import CreatePatient, NationalIdCorrected, PatientUpdated
from shared.db import Database
from shared.identity import Caller
from shared.messages import Message, envelope
from tests.erasure_stack import (
    EMAIL,
    NEEDLES,
    WHOLE,
    as_superuser,
    enter,
    erase,
    follow,
    found_in,
    found_in_blobs,
)
from tests.platform import CNP, PASSWORD, Platform, person

_ADMIN = Caller("person", uuid4(), frozenset({"ADMIN"}), {"*": frozenset({"ADMIN"})})


@pytest.fixture
def platform(service_db: Callable[[str], str]) -> Platform:
    """Fresh databases: erasures leave nothing to share."""
    return Platform(service_db)


def _everywhere(cluster: Cluster, platform: Platform) -> set[str]:
    """``service.table.column`` of whatever knows the person."""
    return {
        f"{name}.{column}"
        for name, db in platform.databases.items()
        for column in found_in(as_superuser(cluster, db), NEEDLES)
    }


def _publish(platform: Platform, message: Message, *, source: str, version: int = 90) -> None:
    env = envelope(message, source=source, version=version)
    platform.bus.publish(message.shared_topic or source, [env])


def _letter(platform: Platform, patient_id: str) -> None:
    """Patient cannot handle a message about the person: it is kept among the dead letters."""
    broken = PatientUpdated(patient_id=UUID(patient_id), fields=[EMAIL])
    env = envelope(broken, source="auth").model_copy(update={"event_type": "EMAIL_UPDATED"})
    platform.bus.publish("auth", [env])
    platform.drain()
    assert 1 == len(platform.databases["patient"].all("select from dead_letters"))


def test_no_receipt_stands_beside_older_answers(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose last answers arrive while the state is being told is shown running, or complete."""
    erasure_id = erase(platform, *enter(platform))
    issue = receipts.issue

    def late(asked_for: UUID) -> tuple[str | None, str | None]:
        patched.undo()
        platform.drain()
        return issue(asked_for)

    with monkeypatch.context() as patched:
        patched.setattr(receipts, "issue", late)
        state = follow(platform, erasure_id)
    assert ("RUNNING", None) == (state["status"], state["receipt"])
    platform.drain()
    state = follow(platform, erasure_id)
    assert "COMPLETED" == state["status"]
    assert state["receipt"]


def test_nothing_of_the_person_is_left_anywhere(
    platform: Platform, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once it is complete, no column of any table, no object and no log line knows the person."""
    patient_id, token = enter(platform)
    _letter(platform, patient_id)
    body = {"email": f"new.{EMAIL}", "password": PASSWORD}
    assert 200 == platform.call("PATCH", "/api/auth/me/email", body, token=token).status_code
    platform.call("POST", "/api/auth/login", {**body, "password": "wrong password 1"})
    platform.drain()
    known = _everywhere(cluster, platform)
    assert {"auth.users.email", "auth.users.national_id_index"} <= known
    assert {"patient.patients.first_name", "patient.patient_words.word"} <= known

    erasure_id = erase(platform, patient_id, token)
    platform.drain()
    assert "COMPLETED" == follow(platform, erasure_id)["status"]
    assert set() == _everywhere(cluster, platform)
    assert set() == found_in_blobs()
    told = capsys.readouterr().out.lower()
    assert "/api/auth/erasures" in told
    assert [] == [n for n in NEEDLES if isinstance(n, str) and n in told]
    for service in platform.services.values():
        db = platform.databases[service.name]
        assert {} == service.privacy.remains(db, UUID(patient_id))
        assert [] == db.all("select from subject_keys where subject = :p", p=UUID(patient_id))
        assert [] == db.all("select from dead_letters")


def test_the_service_that_is_asked_erases_at_once(platform: Platform) -> None:
    """With the answer auth knows the person no more, and the others hear of it."""
    patient_id, token = enter(platform)
    erasure_id = erase(platform, patient_id, token)
    db = platform.databases["auth"]
    assert [] == db.all("select from users where id = :p", p=UUID(patient_id))
    # The token is void within seconds, its person is gone now.
    assert platform.call("GET", "/api/auth/me", token=token).status_code in (401, 404)
    body = {"email": EMAIL, "password": PASSWORD}
    assert 401 == platform.call("POST", "/api/auth/login", body).status_code
    running = follow(platform, erasure_id)
    assert ("RUNNING", None) == (running["status"], running["receipt"])
    states = {name: part["state"] for name, part in running["services"].items()}
    assert {"auth": "ERASED", **dict.fromkeys(platform.services.keys() - {"auth"}, "PENDING")} == (
        states
    )
    platform.drain()
    own = platform.call("GET", f"/api/patients/{patient_id}", token=token)
    assert own.status_code in (401, 404)
    admin = platform.admin()
    assert 404 == platform.call("GET", f"/api/patients/{patient_id}", token=admin).status_code
    found = platform.call("POST", "/api/patients/search", {"query": "quillfeather"}, token=admin)
    assert [] == (found.json or {})["items"]


def test_the_receipt_can_be_checked_by_anybody(platform: Platform) -> None:
    """It is signed with a key of the JWKS, says what was erased and names nobody."""
    patient_id, token = enter(platform)
    erasure_id = erase(platform, patient_id, token)
    platform.drain()
    done = follow(platform, erasure_id)
    keys = jwt.PyJWKSet.from_dict(platform.call("GET", "/api/auth/jwks.json").json or {})
    header = jwt.get_unverified_header(done["receipt"])
    claims = jwt.decode(done["receipt"], keys[header["kid"]], algorithms=["ES256"])
    assert ("erasure-receipt+jwt", erasure_id) == (header["typ"], claims["jti"])
    assert "USER_REQUEST_ARTICLE_17" == claims["reason"]
    names = ("requested_at", "completed_at", "backups_expire_at")
    requested, completed, expire = (datetime.fromisoformat(claims[name]) for name in names)
    assert requested < completed < expire
    shown = {
        name: {key: part[key] for key in ("state", "erased", "held")}
        for name, part in done["services"].items()
    }
    assert shown == claims["services"]
    counts = {name: part["erased"] for name, part in shown.items()}
    assert (1, 1, 1) == (
        counts["auth"]["users"],
        counts["patient"]["patients"],
        counts["patient"]["subject_keys"],
    )
    assert patient_id not in str(claims)
    assert done["receipt"] == follow(platform, erasure_id)["receipt"]


def test_a_receipt_outlives_the_key_that_signed_it(platform: Platform) -> None:
    """The public half of the key stays published when the key itself is purged."""
    patient_id, token = enter(platform)
    erasure_id = erase(platform, patient_id, token)
    platform.drain()
    receipt = follow(platform, erasure_id)["receipt"]
    admin = platform.admin()
    assert 200 == platform.call("GET", "/api/auth/clinics", token=admin).status_code
    db = platform.databases["auth"]
    db.all("delete from signing_keys")
    keys = jwt.PyJWKSet.from_dict(platform.call("GET", "/api/auth/jwks.json").json or {})
    key = keys[jwt.get_unverified_header(receipt)["kid"]]
    assert erasure_id == jwt.decode(receipt, key, algorithms=["ES256"])["jti"]
    # It opens nothing any more: whoever may have stolen it can sign no access token.
    platform.services["auth"].forget_connections()
    assert 401 == platform.call("GET", "/api/auth/clinics", token=admin).status_code


def test_a_message_from_before_changes_nothing(platform: Platform, cluster: Cluster) -> None:
    """What was on its way when the person was erased finds nobody, however late it arrives."""
    patient_id, token = enter(platform)
    erase(platform, patient_id, token)
    platform.drain()
    who = UUID(patient_id)
    late: list[tuple[str, Message]] = [
        ("auth", EmailUpdated(person_id=who, email=EMAIL, previous=f"old.{EMAIL}")),
        ("auth", CreatePatient(patient_id=who, email=EMAIL, **_profile())),
        ("patient", NationalIdCorrected(patient_id=who, national_id=CNP)),
    ]
    for source, message in late:
        _publish(platform, message, source=source)
    platform.drain()
    assert set() == _everywhere(cluster, platform)
    assert [] == platform.databases["patient"].all("select from dead_letters")


def _profile() -> dict[str, Any]:
    return {key: value for key, value in WHOLE.items() if key != "birth_date"}


def test_who_registers_may_be_erased_meanwhile(platform: Platform, cluster: Cluster) -> None:
    """A registration that is under way ends, and leaves nothing in any service."""
    answer = platform.call("POST", "/api/auth/register", person(EMAIL, **WHOLE))
    patient_id = (answer.json or {})["patient_id"]
    erasure_id = erase(platform, patient_id, platform.admin())
    platform.drain()
    platform.services["auth"].orchestrator.tick()
    platform.drain()
    assert "COMPLETED" == follow(platform, erasure_id)["status"]
    assert set() == _everywhere(cluster, platform)


def test_who_was_erased_may_come_again(platform: Platform) -> None:
    """The e-mail address and the national id are free: for a new person with a new id."""
    patient_id, token = enter(platform)
    erase(platform, patient_id, token)
    platform.drain()
    again, _ = enter(platform)
    assert patient_id != again


def test_nobody_answers_for_another_service(platform: Platform) -> None:
    """An answer in patient's name from somewhere else is set aside, and patient is waited for."""
    patient_id, token = enter(platform)
    erasure_id = erase(platform, patient_id, token)
    forged = GdprDataErased(erasure_id=UUID(erasure_id), service="patient", erased={})
    env = envelope(forged, source="payment")
    platform.bus.publish("gdpr", [env])
    platform.drain()
    letters = platform.databases["auth"].all("select event_type from dead_letters")
    assert [{"event_type": "GDPR_DATA_ERASED"}] == letters
    assert 1 == follow(platform, erasure_id)["services"]["patient"]["erased"]["patients"]


def test_the_search_for_leftovers_finds_them(kit_db: Callable[[], str], cluster: Cluster) -> None:
    """What is planted in a text, in bytes, in JSON or in an array is found, in whatever column."""
    db = as_superuser(cluster, Database(kit_db()))
    db.all(
        "create table planted (id int, words text[], told jsonb, raw bytea, at text, clean text)"
    )
    db.all(
        "insert into planted values (1, array['x', 'Zenobiella Q.'], :told::jsonb, :raw, :at, 'x')",
        told=f'{{"deep": ["{CNP}"]}}',
        raw=b"\x00\xff" + CNP.encode(),
        at=f"<{EMAIL}>",
    )
    expected = {f"planted.{column}" for column in ("words", "told", "raw", "at")}
    assert expected == found_in(db)
