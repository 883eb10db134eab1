"""Figures on their way to Google Cloud's own collector: other names, and an account."""

from __future__ import annotations

from typing import Any

import pytest
from google.oauth2.credentials import Credentials

from shared import telemetry, telemetry_otlp
from shared.telemetry import counted, figures, timed
from tests.integration.collector_stack import Collector


def _credentials() -> Any:
    made: Any = Credentials
    return made(token="t")


def test_google_gets_the_names_that_alarms_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and attributes are Prometheus', the region is named, and the account is known."""
    monkeypatch.setattr(telemetry_otlp, "_GOOGLE", "127.0.0.1")
    monkeypatch.setattr("google.auth.default", lambda **_: (_credentials(), None))
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "cloud.region=europe-west1")
    telemetry._begin()
    telemetry_otlp._described.cache_clear()
    collector = Collector()
    timed("http.server.request.duration", 0.2, http_response_status_code=200)
    counted("dentalhelp.mail.sent", outcome="sent")
    exporter = telemetry_otlp.Exporter(collector.url, 5.0)
    gauges = {"dentalhelp.outbox.age": 3.0, "dentalhelp.dead_letters": 0.0}
    assert exporter.send_metrics({"unknown": figures("unknown")}, {"unknown": gauges})
    sent = collector.points("unknown")
    assert {
        "http_server_request_duration_seconds",
        "dentalhelp_mail_sent_total",
        "dentalhelp_outbox_age_seconds",
        "dentalhelp_dead_letters",
    } == set(sent)
    (point,) = sent["http_server_request_duration_seconds"].histogram.data_points
    assert ["http_response_status_code"] == [pair.key for pair in point.attributes]
    resource: Any = collector.metrics[-1].resource_metrics[0].resource
    assert "europe-west1" in [pair.value.string_value for pair in resource.attributes]
    assert ["Bearer t"] == collector.accounts
    collector.close()
    telemetry._begin()
    telemetry_otlp._described.cache_clear()
