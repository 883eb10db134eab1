"""What a service tells of itself under ``-/metrics``, in the words of Prometheus."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

import pytest

from shared import telemetry
from shared.db import Database
from shared.telemetry_routes import kit_gauges
from tests.metrics_stack import anew_fixture, parsed, value_of
from tests.platform import PASSWORD, Platform

SOMEBODY = uuid4()

anew = anew_fixture()


@pytest.fixture
def platform(service_db: Callable[[str], str]) -> Platform:
    """All services on fresh databases."""
    return Platform(service_db)


def test_requests_are_timed_by_route_template(platform: Platform) -> None:
    """A request counts under its route's template and status, whoever it was about."""
    token = platform.admin()
    person = uuid4()
    for _ in range(2):
        assert 404 == platform.call("GET", f"/api/patients/{person}", token=token).status_code
    answer = platform.call("GET", "/api/patients/-/metrics", token=token)
    assert 200 == answer.status_code
    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["Content-Type"]
    timed_twice = value_of(
        answer.text,
        "http_server_request_duration_seconds_count",
        http_route="/api/patients/{patient_id}",
        http_request_method="GET",
        http_response_status_code="404",
    )
    assert timed_twice == 2
    assert str(person) not in answer.text


def test_a_service_shows_its_own_figures_only(platform: Platform) -> None:
    """Of two services in one process each tells of itself, and names itself."""
    token = platform.admin()
    for service, prefix in (("auth", "/api/auth"), ("patient", "/api/patients")):
        platform.call("GET", f"{prefix}/-/health")
        text = platform.call("GET", f"{prefix}/-/metrics", token=token).text
        routes = set(re.findall(r'http_route="([^"]+)"', text))
        assert all(route.startswith(prefix) for route in routes)
        assert f"{prefix}/-/health" in routes
        who = value_of(text, "target_info", service_name=service, service_namespace="dentalhelp")
        assert who == 1
        assert f'service_instance_id="{telemetry.instance()}"' in text


def test_a_registration_is_seen_as_messages_and_a_saga(platform: Platform) -> None:
    """Its commands are timed where they are handled, its saga where it is orchestrated."""
    platform.register("ana@example.com")
    token = platform.admin()
    patient = platform.call("GET", "/api/patients/-/metrics", token=token).text
    handled = value_of(
        patient,
        "dentalhelp_message_latency_seconds_count",
        event_type="CREATE_PATIENT",
        outcome="handled",
    )
    assert handled == 1
    auth = platform.call("GET", "/api/auth/-/metrics", token=token).text
    ended = [
        (labels["status"], value)
        for name, labels, value in parsed(auth)["dentalhelp_saga_duration_seconds"][1]
        if name == "dentalhelp_saga_duration_seconds_count"
    ]
    assert [("COMPLETED", 1.0)] == ended
    assert "ana@example.com" not in auth + patient


def test_gauges_are_read_from_the_database(platform: Platform) -> None:
    """What waits, was given up or is parked is counted at each scrape, for all processes."""
    token = platform.admin()
    platform.call("GET", "/api/auth/-/health")
    db = platform.databases["patient"]
    names = (
        "dentalhelp_outbox_rows",
        "dentalhelp_outbox_age_seconds",
        "dentalhelp_dead_letters",
        "dentalhelp_sagas_parked",
        "dentalhelp_audit_unsealed_age_seconds",
    )

    def scrape() -> list[float | None]:
        text = platform.call("GET", "/api/patients/-/metrics", token=token).text
        return [value_of(text, name) for name in names]

    assert [0, 0, 0, 0] == scrape()[:4]
    envelope = '{"timestamp": "' + "2020-01-01T00:00:00Z" + '"}'
    db.all(
        "insert into outbox (topic, key, envelope, fence, lease_until)"
        " select 'patient', 'k', :envelope, 0, now() + interval '1 hour'"
        " from generate_series(1, 3)",
        envelope=envelope,
    )
    db.all("insert into dead_letters (id, reason, attempts) values ('x', 'test', 1)")
    db.all(
        "insert into sagas (id, name, definition, subject, status, steps, states, round, attempts,"
        " since, data, created_at, updated_at) values (gen_random_uuid(), 'made-up', 'f',"
        " gen_random_uuid(), 'PARKED', '{}', '{}', 0, 0, now(), '', now(), now())"
    )
    db.all(
        "insert into audit_log (at, action, what, purpose)"
        " values (now() - interval '1 hour', 'read', 'profile', 'TREAT')"
    )
    rows, age, letters, parked, unsealed = scrape()
    assert (3, 1, 1) == (rows, letters, parked)
    assert (age or 0) > 86_400
    # Sealed or not, no row of audit_log is older than the one that was just written.
    assert 3_600 <= (unsealed or 0) < 3_700


def test_sealed_audit_rows_are_not_unsealed(kit_db: Callable[[], str]) -> None:
    """Only rows behind the last seal count."""
    db = Database(kit_db())
    db.all(
        "insert into audit_log (at, action, what, purpose)"
        " values (now() - interval '1 hour', 'read', 'profile', 'TREAT')"
    )
    assert (kit_gauges(db)["dentalhelp.audit.unsealed.age"] or 0) >= 3_600
    db.all(
        "insert into audit_seals (number, after_tx, after_id, upto_tx, upto_id, entries, root,"
        " previous, mac, sealed_at) select 1, '0', 0, tx, id, 1, '', '', '', now() from audit_log"
    )
    assert kit_gauges(db)["dentalhelp.audit.unsealed.age"] == 0


def test_unanswered_erasures_are_a_gauge(platform: Platform) -> None:
    """auth tells how many services owe it an answer, and for how long."""
    token = platform.admin()
    db = platform.databases["auth"]

    def scrape() -> tuple[float | None, float]:
        text = platform.call("GET", "/api/auth/-/metrics", token=token).text
        age = value_of(text, "dentalhelp_erasures_unanswered_age_seconds")
        return value_of(text, "dentalhelp_erasures_unanswered"), age or 0.0

    assert (0, 0) == scrape()
    db.all(
        "insert into erasures (id, person_id, reason, requested_at, status, try_at)"
        " values (:id, gen_random_uuid(), 'x', now() - interval '1 hour', 'RUNNING', now())",
        id=SOMEBODY,
    )
    db.all(
        "insert into erasure_services (erasure_id, service, state, ask_at)"
        " values (:id, 'patient', 'PENDING', now()), (:id, 'auth', 'ERASED', now())",
        id=SOMEBODY,
    )
    services, age = scrape()
    assert services == 1
    assert 3_600 <= age < 3_700


def test_an_address_that_changed_is_timed_until_its_replica(platform: Platform) -> None:
    """patient times how long the new address took to arrive."""
    platform.register("old@example.com")
    admin = platform.admin()

    def replicated() -> float:
        text = platform.call("GET", "/api/patients/-/metrics", token=admin).text
        return value_of(text, "dentalhelp_email_replica_lag_seconds_count") or 0

    before = replicated()
    body = {"email": "new@example.com", "password": PASSWORD}
    token = platform.token("old@example.com")
    assert 200 == platform.call("PATCH", "/api/auth/me/email", body, token=token).status_code
    platform.drain()
    assert 1 == replicated() - before
