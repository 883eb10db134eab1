"""The environment, read in one place."""

from __future__ import annotations

import os

import pytest

from shared.config import Config, MissingSettings, check, config, deployed


def test_everything_missing_is_named_at_once() -> None:
    """An empty environment is refused with every required setting in one message."""
    with pytest.raises(MissingSettings) as refused:
        Config.read({})
    for name in ("DENTALHELP_ENV", "BUS_URL", "KMS_KEY", "BLIND_INDEX_KEY", "TOKEN_ISSUER"):
        assert name in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {"DENTALHELP_ENV": "staging"},
        {"BLIND_INDEX_KEY": "not base64!"},
        {"BLIND_INDEX_KEY": "c2hvcnQ="},
        {"DENTALHELP_ENV": "cloud", "PASSWORD_COST": "low"},
        {"DENTALHELP_ENV": "cloud", "FAULT_POINTS": "/anywhere"},
        {"SERVICES": "[]"},
        {"SERVICES": "{"},
        {"SERVICE_EMAIL": "everybody@example.com"},
    ],
    ids=str,
)
def test_malformed_settings_are_refused(change: dict[str, str]) -> None:
    """A wrong value is named, never quoted, and cheap password hashes exist embedded only."""
    with pytest.raises(MissingSettings) as refused:
        Config.read({**os.environ, **change})
    assert "c2hvcnQ=" not in str(refused.value)


def test_a_deployed_service_checks_its_settings_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where functions run, a service without its database's URL says so before any request."""
    monkeypatch.delenv("K_SERVICE", raising=False)
    assert not deployed()
    monkeypatch.setenv("K_SERVICE", "recall-http")
    assert deployed()
    monkeypatch.delenv("RECALL_DATABASE_URL", raising=False)
    with pytest.raises(MissingSettings, match="RECALL_DATABASE_URL"):
        check("recall")
    monkeypatch.delenv("KMS_KEY")
    config.cache_clear()
    with pytest.raises(MissingSettings, match=r"KMS_KEY.*RECALL_DATABASE_URL"):
        check("recall")
    monkeypatch.undo()
    config.cache_clear()
