"""Who may ask for an erasure, how often, and at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID, uuid4

import pytest

from functions.auth.service import erasures, staff
from shared.contracts.gdpr import GdprDataDeletion
from shared.identity import Caller
from shared.messages import envelope
from tests.erasure_stack import enter, erase, follow
from tests.platform import Platform

_ADMIN = Caller("person", uuid4(), frozenset({"ADMIN"}), {"*": frozenset({"ADMIN"})})


@pytest.fixture
def platform(service_db: Callable[[str], str]) -> Platform:
    """Fresh databases: erasures leave nothing to share."""
    return Platform(service_db)


def test_who_may_ask(platform: Platform) -> None:
    """The person and ADMINs of the group may; nobody else, and not for somebody unknown."""
    patient_id, _ = enter(platform)
    _, other = enter(platform, "other@example.com", national_id=None)
    path, body = "/api/auth/erasures", {"patient_id": patient_id}
    assert 401 == platform.call("POST", path, body).status_code
    assert 403 == platform.call("POST", path, body, token=other).status_code
    admin = platform.admin()
    unknown = {"patient_id": str(uuid4())}
    assert 404 == platform.call("POST", path, unknown, token=admin).status_code
    wrong = {**body, "reason": "because"}
    assert 422 == platform.call("POST", path, wrong, token=admin).status_code
    assert 404 == platform.call("GET", f"{path}/{uuid4()}").status_code
    assert 202 == platform.call("POST", path, body, token=admin).status_code


def test_the_last_administrator_stays(platform: Platform) -> None:
    """Somebody must be able to administer the group; others of the staff may go."""
    admin = platform.admin()
    me = (platform.call("GET", "/api/auth/me", token=admin).json or {})["id"]
    body = {"patient_id": me}
    refused = platform.call("POST", "/api/auth/erasures", body, token=admin)
    assert 409 == refused.status_code
    assert "urn:dentalhelp:problem:last-admin" == (refused.json or {})["type"]
    second = platform.staff("second@example.com", {"role": "ADMIN"})
    erase(platform, me, second)
    assert platform.call("GET", "/api/auth/me", token=admin).status_code in (401, 404)


def test_two_administrators_cannot_both_go_at_once(platform: Platform) -> None:
    """Of the last two who ask at the same moment one stays."""
    tokens = [platform.admin(), platform.staff("second@example.com", {"role": "ADMIN"})]
    people = [
        UUID((platform.call("GET", "/api/auth/me", token=t).json or {})["id"]) for t in tokens
    ]
    gate = Barrier(2)

    def go(who: UUID) -> bool:
        gate.wait()
        try:
            erasures.request(who, "USER_REQUEST_ARTICLE_17", Caller("person", who))
        except staff.LastAdmin:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert [False, True] == sorted(pool.map(go, people))
    left = platform.databases["auth"].all("select user_id from user_roles where role = 'ADMIN'")
    assert 1 == len(left)


def test_many_may_ask_at_once(platform: Platform) -> None:
    """Requests that race make one erasure with one entry in the ledger and one receipt."""
    patient_id, _ = enter(platform)
    gate = Barrier(8)

    def go(_: int) -> UUID:
        gate.wait()
        return erasures.request(UUID(patient_id), "CONSENT_WITHDRAWN", _ADMIN)

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(go, range(8)))
    assert 1 == len(ids)
    platform.drain()
    assert "COMPLETED" == follow(platform, str(ids.pop()))["status"]


def test_a_repeated_request_gets_the_same_answer(platform: Platform) -> None:
    """With an Idempotency-Key the erasure begins when the request is committed, and once."""
    patient_id, _ = enter(platform)
    body, headers = {"patient_id": patient_id}, {"Idempotency-Key": "erase-1"}
    admin = platform.admin()
    first, second = (
        platform.call("POST", "/api/auth/erasures", body, token=admin, headers=headers)
        for _ in range(2)
    )
    assert (202, "true") == (second.status_code, second.headers.get("Idempotent-Replayed"))
    assert first.data == second.data
    assert [] == platform.databases["auth"].all("select from erasures where status = 'REQUESTED'")
    platform.drain()
    assert "COMPLETED" == follow(platform, (first.json or {})["erasure_id"])["status"]


def test_erasing_twice_is_the_same_erasure(platform: Platform) -> None:
    """However often it is asked for, and heard of, there is one erasure with one receipt."""
    patient_id, token = enter(platform)
    erasure_id = erase(platform, patient_id, token)
    admin = platform.admin()
    assert erasure_id == erase(platform, patient_id, admin)
    platform.drain()
    first = follow(platform, erasure_id)
    assert erasure_id == erase(platform, patient_id, admin)
    again = GdprDataDeletion(
        erasure_id=UUID(erasure_id),
        patient_id=UUID(patient_id),
        reason="LEGAL_OBLIGATION",
        requested_at=first["services"]["auth"]["at"],
    )
    platform.bus.publish("gdpr", [envelope(again, source="auth")])
    platform.drain()
    assert first == follow(platform, erasure_id)
