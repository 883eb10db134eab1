"""What the functions are told is what they read: shared/config.py on the planned environment."""

from __future__ import annotations

import base64
from typing import Any

from infra import deploy_traffic, manifest
from shared.config import Config
from tests.terraform.conftest import Resources

_SECRETS = {
    "BLIND_INDEX_KEY": base64.b64encode(bytes(32)).decode(),
    "SMTP_URL": "smtps://user:password@mail.example:465",
}


def _environment(function: dict[str, Any]) -> dict[str, str]:
    config = function["service_config"][0]
    told: dict[str, str] = dict(config["environment_variables"])
    for secret in config["secret_environment_variables"]:
        told[secret["key"]] = _SECRETS.get(secret["key"], "secret")
    return told


def test_every_function_starts_with_what_it_is_told(default: Resources) -> None:
    """Nothing is missing or malformed, in either region, for either target."""
    needs = {service.name: service for service in manifest.load()}
    functions = default("google_cloudfunctions2_function")
    assert 4 * len(needs) == len(functions)
    for function in functions:
        service = needs[function["name"].rsplit("-", 1)[0].replace("-", "_")]
        told = _environment(function)
        config = Config.read(told)
        assert "cloud" == config.env
        assert config.database_url(service.name).startswith("cloudsql://dentalhelp-test:")
        assert [] == [name for name in service.needs if not told.get(name)]
        for kind in service.privacy.kinds:
            config.retained(kind)
        assert config.kms_key.startswith("gcp-kms://projects/dentalhelp-test/locations/europe/")
        assert f"/cryptoKeys/service-{service.name.replace('_', '-')}" in config.kms_key


def test_functions_know_each_other(default: Resources) -> None:
    """The account that a function runs as is the one by which the others know its service."""
    for function in default("google_cloudfunctions2_function"):
        config = Config.read(_environment(function))
        service = function["name"].rsplit("-", 1)[0]
        account = function["service_config"][0]["service_account_email"]
        assert config.service_email.format(service=service) == account
        assert manifest.personal_services() == dict(config.services)


def test_pushes_are_for_the_function_they_reach(default: Resources) -> None:
    """Endpoint, audience and what the function expects are one URL, and so is the account."""
    audiences = {}
    for function in default("google_cloudfunctions2_function"):
        config = Config.read(_environment(function))
        if function["name"].endswith("-events") and function["location"] == "europe-west1":
            audiences[function["name"]] = (config.push_audience, config.push_email)
    for subscription in default("google_pubsub_subscription"):
        (push,) = subscription["push_config"]
        (token,) = push["oidc_token"]
        service = subscription["name"].partition(".")[0].replace("_", "-")
        expected = (token["audience"], token["service_account_email"])
        assert expected == audiences[f"{service}-events"]
        assert push["push_endpoint"] == f"{token['audience']}/"
    for job in default("google_cloud_scheduler_job"):
        (target,) = job["http_target"]
        (token,) = target["oidc_token"]
        assert target["uri"].startswith(f"{token['audience']}/jobs/")


def test_traffic_moves_to_what_terraform_made(runs: dict[str, Any]) -> None:
    """make move-traffic asks gcloud for exactly the pushes and schedules of a region that leads."""
    made: dict[str, list[dict[str, Any]]] = {}
    for one in runs["switched"]["resources"]:
        made.setdefault(one["type"], []).append(one["values"])
    asked = list(deploy_traffic.moves("dentalhelp-test", "123456789012", "us-central1"))
    pushes = {
        (
            "pubsub",
            "subscriptions",
            "modify-push-config",
            one["name"],
            f"--push-endpoint={one['push_config'][0]['push_endpoint']}",
            f"--push-auth-service-account={token['service_account_email']}",
            f"--push-auth-token-audience={token['audience']}",
        )
        for one in made["google_pubsub_subscription"]
        for token in one["push_config"][0]["oidc_token"]
    }
    schedules = {
        ("scheduler", "jobs", "resume", one["name"], f"--location={one['region']}")
        for one in made["google_cloud_scheduler_job"]
        if not one["paused"]
    }
    assert pushes | schedules == set(asked)
    assert len(asked) == len(set(asked))
    groups = {one["name"] for one in made["google_compute_region_network_endpoint_group"]}
    assert groups == {f"{one['name']}-http" for one in made["google_compute_backend_service"]}


def test_each_thread_may_have_a_request(default: Resources) -> None:
    """An instance has a thread for each request it takes at a time."""
    for function in default("google_cloudfunctions2_function"):
        config = function["service_config"][0]
        threads = int(config["environment_variables"]["THREADS"])
        assert config["max_instance_request_concurrency"] == threads > 1
