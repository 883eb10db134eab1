"""An erasure with something that a law holds, from the request to the final receipt."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest

from functions.auth.service import receipts
from shared.config import MissingSettings, check, config
from shared.privacy import Hold, Privacy
from tests.erasure_stack import EMAIL, enter, erase, follow
from tests.platform import Platform

_LAW = "records are kept for 30 years"
_SINCE = {"patients": "created_at", "events": "recorded_at"}


def _rule(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """The operator says how long from now on."""
    monkeypatch.setenv("RETENTION", json.dumps({"record": {"days": days, "reason": _LAW}}))
    config.cache_clear()


@pytest.fixture
def platform(
    service_db: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Platform]:
    """Patient holds profiles and histories."""
    made = Platform(service_db)
    service = made.services["patient"]
    tables = [
        dataclasses.replace(t, hold=Hold("record", _SINCE[t.table])) if t.table in _SINCE else t
        for t in service.privacy.tables
    ]
    monkeypatch.setattr(service, "privacy", Privacy(tables=tables))
    _rule(monkeypatch, 10_957)
    yield made
    monkeypatch.undo()
    config.cache_clear()


def _claims(platform: Platform, receipt: str) -> dict[str, Any]:
    keys = jwt.PyJWKSet.from_dict(platform.call("GET", "/api/auth/jwks.json").json or {})
    key = keys[jwt.get_unverified_header(receipt)["kid"]]
    found: dict[str, Any] = jwt.decode(receipt, key, algorithms=["ES256"])
    return found


def _ends(platform: Platform, patient_id: str, days: int) -> set[datetime]:
    """When what is known of the patient may go: so long after the last of it was recorded."""
    rows = platform.databases["patient"].all(
        "select max(created_at) as at from patients where patient_id = :id::uuid"
        " union select max(recorded_at) from events where person_id = :id::uuid",
        id=patient_id,
    )
    return {row["at"] + timedelta(days=days) for row in rows}


def _until(held: Iterable[Mapping[str, str]]) -> set[datetime]:
    return {datetime.fromisoformat(item["until"]) for item in held}


def _release(platform: Platform) -> None:
    """What the schedule does every hour."""
    platform.services["patient"].jobs["release-holds"].run()
    platform.drain()


def test_what_is_held_is_said_restricted_and_released(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receipt says what is held, why and until when, for each service; only an ADMIN of the
    group who says why sees it; at its end it is erased by itself, and a final receipt says so."""
    patient_id, token = enter(platform)
    admin = platform.admin()
    path, purpose = f"/api/patients/{patient_id}", {"X-Purpose-Of-Use": "HLEGAL"}
    erasure_id = erase(platform, patient_id, token)
    platform.drain()
    done = follow(platform, erasure_id)
    assert ("HELD", None) == (done["status"], done["final_receipt"])
    said = _claims(platform, done["receipt"])
    held = said["services"]["patient"]["held"]
    assert {("patients", _LAW), ("events", _LAW)} == {(h["what"], h["reason"]) for h in held}
    assert _ends(platform, patient_id, 10_957) == _until(held)
    assert ("HELD", True) == (said["status"], "held" in said["note"])
    assert [] == said["services"]["auth"]["held"]

    assert 404 == platform.call("GET", path, token=admin).status_code
    shown = platform.call("GET", path, token=admin, headers=purpose)
    assert EMAIL == (shown.json or {}).get("email"), shown.text
    changed = platform.call(
        "PATCH",
        path,
        {"first_name": "Else"},
        token=admin,
        headers={**purpose, "If-Match": shown.headers["ETag"]},
    )
    assert changed.status_code in (404, 409), changed.text
    export = f"/api/auth/exports/{patient_id}"
    assert 404 == platform.call("GET", export, token=admin).status_code
    exported = (platform.call("GET", export, token=admin, headers=purpose).json or {})["parts"]
    assert [EMAIL] == [row["email"] for row in exported["patient"]["patients"]]

    _release(platform)
    assert done == follow(platform, erasure_id)
    _rule(monkeypatch, 0)
    _release(platform)
    released = follow(platform, erasure_id)
    assert ("COMPLETED", done["receipt"]) == (released["status"], released["receipt"])
    final = _claims(platform, released["final_receipt"])
    part = final["services"]["patient"]
    assert ([], 1, 1) == (part["held"], part["erased"]["patients"], part["erased"]["subject_keys"])
    assert (erasure_id, "COMPLETED") == (final["jti"], final["status"])
    assert final["backups_expire_at"] > said["backups_expire_at"]
    assert 404 == platform.call("GET", path, token=admin, headers=purpose).status_code
    exported = (platform.call("GET", export, token=admin, headers=purpose).json or {})["parts"]
    assert not any(exported["patient"].values())


def test_what_is_held_follows_a_new_rule(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A longer time moves the date at the next run, and the erasure says so; its receipt stays."""
    patient_id, token = enter(platform)
    erasure_id = erase(platform, patient_id, token)
    platform.drain()
    before = follow(platform, erasure_id)
    _rule(monkeypatch, 36_524)
    _release(platform)
    after = follow(platform, erasure_id)
    assert ("HELD", before["receipt"]) == (after["status"], after["receipt"])
    for days, said in ((10_957, before), (36_524, after)):
        held = said["services"]["patient"]["held"]
        assert _ends(platform, patient_id, days) == _until(held)


def test_a_final_receipt_that_was_not_signed_is_signed_later(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that should have signed it died: a job does, once."""
    patient_id, token = enter(platform)
    erasure_id = erase(platform, patient_id, token)
    platform.drain()
    _rule(monkeypatch, 0)
    with monkeypatch.context() as patch:
        patch.setattr(receipts, "issue", lambda _: (None, None))
        _release(platform)
    auth = platform.databases["auth"]
    assert [{"final_receipt": None}] == auth.all("select final_receipt from erasures")
    assert 1 == receipts.issue_all()
    assert 0 == receipts.issue_all()
    row = auth.all("select final_receipt from erasures")[0]
    assert row["final_receipt"] == follow(platform, erasure_id)["final_receipt"] is not None


def test_a_service_that_holds_records_needs_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service does not start while RETENTION does not name a kind that it holds."""
    monkeypatch.setenv("HOLDER_DATABASE_URL", "postgresql://nobody@/nowhere")
    _rule(monkeypatch, 1)
    check("holder", kinds=["record"])
    with pytest.raises(MissingSettings, match="missing: xray in RETENTION"):
        check("holder", kinds=["record", "xray"])
    monkeypatch.undo()
    config.cache_clear()
