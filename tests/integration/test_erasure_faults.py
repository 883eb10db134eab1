"""Erasures when something is away: the object store, a service, the process itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from functions.auth import domain
from functions.auth.service import erasures
from infra.local.postgres import Cluster
from shared import faults
from shared.blobs import blobs
from shared.bus import Push, push_body
from shared.config import config
from shared.contracts.gdpr import GdprDataErased, Held
from shared.messages import envelope
from shared.testing import frozen
from tests.erasure_stack import EMAIL, as_superuser, enter, erase, follow, found_in
from tests.platform import Platform

_LAW = Held(what="xrays", reason="StrlSchG 85", until=datetime(2036, 1, 1, tzinfo=UTC))


@pytest.fixture
def platform(service_db: Callable[[str], str]) -> Platform:
    """Fresh databases."""
    return Platform(service_db)


@contextmanager
def _store_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing can be written to object storage meanwhile."""
    with monkeypatch.context() as patch:
        patch.setenv("BLOBS_URL", "file:///dev/null/nowhere")
        config.cache_clear()
        blobs.cache_clear()
        yield
    config.cache_clear()
    blobs.cache_clear()


def _known(cluster: Cluster, platform: Platform) -> set[str]:
    return found_in(as_superuser(cluster, platform.databases["auth"]), [EMAIL])


def _others(platform: Platform) -> set[str]:
    return set(platform.services) - {"auth"}


def _say(platform: Platform, erasure_id: str, service: str, *held: Held, run: int = 1) -> None:
    """``service`` answers that it has erased three rows, and holds ``held``."""
    event = GdprDataErased(
        erasure_id=UUID(erasure_id), service=service, erased={"rows": 3}, held=list(held), run=run
    )
    env = envelope(event, source=service)
    platform.services["auth"].deliver(
        push_body(
            Push(
                data=env.to_json().encode(),
                attributes=env.attributes(),
                message_id=str(env.event_id),
                publish_time=env.timestamp,
                subscription="auth.gdpr",
                ordering_key=env.ordering_key,
                delivery_attempt=1,
            )
        )
    )


def test_nothing_is_destroyed_before_the_ledger_has_it(
    platform: Platform,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the store away the account is closed and nothing is lost; a job goes on later."""
    patient_id, token = enter(platform)
    with frozen(datetime.now(UTC)) as clock:
        with _store_away(monkeypatch):
            erasure_id = erase(platform, patient_id, token)
            clock.advance(domain.CONTINUE_AFTER)
            erasures.tend()
            assert "erasure_ledger_away" in capsys.readouterr().out
        assert {"users.email"} == _known(cluster, platform)
        running = follow(platform, erasure_id)
        assert ("RUNNING", {}, None) == (*(running[k] for k in ("status", "services", "receipt")),)
        body = {"email": EMAIL, "password": "gravel-otter-sings-4"}
        assert 401 == platform.call("POST", "/api/auth/login", body).status_code
        assert 0 == erasures.tend()
        clock.advance(domain.continue_after(1))
        assert 1 == erasures.tend()
        platform.drain()
    assert set() == _known(cluster, platform)
    assert "COMPLETED" == follow(platform, erasure_id)["status"]


def test_nobody_opens_an_account_again_that_is_to_be_erased(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the ledger is away the account stays closed, whoever wants it open."""
    patient_id, token = enter(platform)
    with _store_away(monkeypatch):
        erase(platform, patient_id, token)
    path = f"/api/auth/users/{patient_id}/reactivate"
    assert 409 == platform.call("POST", path, token=platform.admin()).status_code
    row = platform.databases["auth"].one("select status from users where email = :e", e=EMAIL)
    assert {"status": "DEACTIVATED"} == row


@pytest.mark.parametrize("point", ["erasure.requested", "erasure.recorded"])
def test_a_process_may_die_between_the_steps(
    platform: Platform, cluster: Cluster, tmp_path: Path, point: str
) -> None:
    """Accepted is accepted: whatever step the process died at, a job takes the next one."""
    patient_id, token = enter(platform)
    (tmp_path / point).write_text("error")
    with faults.installed(tmp_path):
        erasure_id = erase(platform, patient_id, token)
    assert [f"{point}.hit"] == [path.name.rpartition(".")[0] for path in tmp_path.iterdir()]
    assert {"users.email"} == _known(cluster, platform)
    with frozen(datetime.now(UTC) + domain.CONTINUE_AFTER):
        assert 1 == erasures.tend()
        assert 0 == erasures.tend()
        platform.drain()
    assert set() == _known(cluster, platform)
    assert "COMPLETED" == follow(platform, erasure_id)["status"]


def test_asking_again_also_goes_on(platform: Platform, cluster: Cluster, tmp_path: Path) -> None:
    """Who asks a second time need not wait for the job."""
    patient_id, token = enter(platform)
    (tmp_path / "erasure.requested").write_text("error")
    with faults.installed(tmp_path):
        erasure_id = erase(platform, patient_id, token)
    assert erasure_id == erase(platform, patient_id, platform.admin())
    assert set() == _known(cluster, platform)


def test_a_service_that_does_not_answer_is_asked_again(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is asked again at growing distances, each time with an alarm; at last it has failed.
    Asked anew, the same erasure is completed, and the answers to all askings count once."""
    patient_id, token = enter(platform)
    with frozen(datetime.now(UTC)) as clock:
        erasure_id = erase(platform, patient_id, token)
        clock.advance(domain.ANSWER_WITHIN - timedelta(seconds=1))
        assert 0 == erasures.tend()
        clock.advance(timedelta(seconds=1))
        assert 1 == erasures.tend()
        assert 0 == erasures.tend()
        told = [line for line in capsys.readouterr().out.splitlines() if "erasure_overdue" in line]
        assert sorted(_others(platform)) == sorted(json.loads(line)["service"] for line in told)
        for askings in range(2, domain.ASKINGS + 1):
            clock.advance(domain.ask_again_after(askings))
            assert 1 == erasures.tend()
        failed = follow(platform, erasure_id)
        assert ("FAILED", None) == (failed["status"], failed["receipt"])
        assert {"FAILED"} == {failed["services"][name]["state"] for name in _others(platform)}
        clock.advance(timedelta(days=1))
        assert 0 == erasures.tend()
        assert erasure_id == erase(platform, patient_id, platform.admin())
        assert "RUNNING" == follow(platform, erasure_id)["status"]
        platform.drain()
        done = follow(platform, erasure_id)
    assert "COMPLETED" == done["status"]
    assert 1 == done["services"]["patient"]["erased"]["patients"]
    assert done["receipt"]


def test_what_the_law_holds_is_said_and_released(platform: Platform) -> None:
    """HELD names what is kept, why and until when; the answer that releases it completes it,
    whichever of the two arrives last. The receipt stays as it was signed."""
    patient_id, token = enter(platform)
    erasure_id = erase(platform, patient_id, token)
    for name in _others(platform):
        _say(platform, erasure_id, name, *([_LAW] if name == "patient" else []))
    held = follow(platform, erasure_id)
    assert "HELD" == held["status"]
    shown: dict[str, Any] = held["services"]["patient"]
    assert ("HELD", {"rows": 3}) == (shown["state"], shown["erased"])
    assert [_LAW.model_dump(mode="json")] == shown["held"]
    assert held["receipt"]
    _say(platform, erasure_id, "patient", _LAW)
    assert held == follow(platform, erasure_id)
    _say(platform, erasure_id, "patient", run=2)
    _say(platform, erasure_id, "patient", _LAW)
    released = follow(platform, erasure_id)
    assert ("COMPLETED", held["receipt"]) == (released["status"], released["receipt"])
    assert [] == released["services"]["patient"]["held"]


def test_a_receipt_that_was_not_signed_is_signed_later(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the store away the erasure is complete all the same; the job signs when it is back."""
    patient_id, token = enter(platform)
    erasure_id = erase(platform, patient_id, token)
    with _store_away(monkeypatch):
        platform.drain()
        done = follow(platform, erasure_id)
        assert ("COMPLETED", None) == (done["status"], done["receipt"])
        assert 0 == erasures.tend()
    assert 1 == erasures.tend()
    row = platform.databases["auth"].all("select receipt from erasures")[0]
    assert row["receipt"] == follow(platform, erasure_id)["receipt"]
    assert row["receipt"] is not None
