"""Nobody may more than their work needs; nothing is public but what is meant to be."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from infra.manifest import TFVARS
from tests.terraform.conftest import Resources

_PRIMITIVE = re.compile(r"roles/(owner|editor|viewer|.*[aA]dmin)$")
_EVERYBODY = {"allUsers", "allAuthenticatedUsers"}
# What a grant is about, and what it says.
_GRANT = (
    *("project", "location", "service", "bucket", "secret_id", "topic", "subscription"),
    *("crypto_key_id", "service_account_id", "role", "member", "condition"),
)
Everything = list[tuple[str, str, str, dict[str, Any]]]


def _services() -> dict[str, Any]:
    services: dict[str, Any] = json.loads(TFVARS.read_text("utf-8"))["services"]
    return services


def _account(service: str) -> str:
    return f"serviceAccount:svc-{service.replace('_', '-')}@dentalhelp-test.iam.gserviceaccount.com"


def test_no_primitive_role_and_no_administrator(everything: Everything) -> None:
    """No grant is Owner, Editor, Viewer or the administrator of a product."""
    granted = {
        (kind, values["role"])
        for _, kind, _, values in everything
        if "_iam_" in kind and "role" in values
    }
    assert granted
    assert [] == [role for _, role in granted if _PRIMITIVE.match(role)]


def test_policies_are_added_to_never_replaced(everything: Everything) -> None:
    """Grants are single members: nothing here takes away what somebody else granted."""
    kinds = {kind for _, kind, _, _ in everything if "_iam_" in kind}
    assert set() == {kind for kind in kinds if kind.endswith(("_binding", "_policy"))}


def test_a_grant_is_made_once(everything: Everything) -> None:
    """No two resources make the same grant: who removed one, such as with a region, would take it
    from the other."""
    made = Counter(
        (run, kind, *(json.dumps(values.get(name)) for name in _GRANT))
        for run, kind, _, values in everything
        if "_iam_member" in kind
    )
    assert made
    assert [] == [grant for grant, times in made.items() if times > 1]


def test_everybody_may_call_http_functions_behind_the_load_balancer(everything: Everything) -> None:
    """allUsers invokes the http functions only, and these admit the load balancer only."""
    functions = {
        (run, values["name"], values["location"]): values["service_config"][0]["ingress_settings"]
        for run, kind, _, values in everything
        if kind == "google_cloudfunctions2_function"
    }
    public = [
        (kind, functions[run, values["service"], values["location"]], values["service"])
        for run, kind, _, values in everything
        if values.get("member") in _EVERYBODY or _EVERYBODY & set(values.get("members") or ())
    ]
    assert public
    assert {"google_cloud_run_service_iam_member"} == {kind for kind, _, _ in public}
    assert {"ALLOW_INTERNAL_AND_GCLB"} == {ingress for _, ingress, _ in public}
    assert [] == [name for _, _, name in public if not name.endswith("-http")]


def test_only_the_pushing_account_calls_events_functions(default: Resources) -> None:
    """Each events function has one invoker and is reachable from inside the project only."""
    invokers = [
        values["member"]
        for values in default("google_cloud_run_service_iam_member")
        if values["service"].endswith("-events")
    ]
    assert {"serviceAccount:pushes@dentalhelp-test.iam.gserviceaccount.com"} == set(invokers)
    ingress = {
        values["service_config"][0]["ingress_settings"]
        for values in default("google_cloudfunctions2_function")
        if values["name"].endswith("-events")
    }
    assert {"ALLOW_INTERNAL_ONLY"} == ingress


def test_each_function_runs_as_its_own_service(default: Resources) -> None:
    """Both targets of a service share its account, and no other service's functions do."""
    runs_as = {
        (values["name"].rsplit("-", 1)[0], values["service_config"][0]["service_account_email"])
        for values in default("google_cloudfunctions2_function")
    }
    expected = {
        (name.replace("_", "-"), _account(name).removeprefix("serviceAccount:"))
        for name in _services()
    }
    assert expected == runs_as


def test_a_service_publishes_on_its_own_topics(default: Resources) -> None:
    """Whoever may publish on a topic is a service that does, or Pub/Sub with dead letters."""
    granted = {
        (values["member"], values["topic"])
        for values in default("google_pubsub_topic_iam_member")
        if not values["topic"].endswith(".dead-letters")
    }
    expected = {
        (_account(name), topic)
        for name, facts in _services().items()
        for topic in facts["publishes"]
    }
    assert expected == granted


def test_a_service_knows_its_own_database_only(default: Resources) -> None:
    """Functions and operators' jobs are told of one database, with the service's own user."""
    for values in default("google_cloudfunctions2_function"):
        service = values["name"].rsplit("-", 1)[0].replace("-", "_")
        told = values["service_config"][0]["environment_variables"]
        urls = {name: url for name, url in told.items() if name.endswith("DATABASE_URL")}
        user = (
            _account(service).removeprefix("serviceAccount:").removesuffix(".gserviceaccount.com")
        )
        assert [f"{service.upper()}_DATABASE_URL"] == list(urls)
        (url,) = urls.values()
        assert url.endswith(f"/{service}_db?user={user}")
        assert values["location"] in url


def test_a_service_reads_its_own_secrets(default: Resources) -> None:
    """Each secret is read by the services that need it."""
    granted = {
        (values["member"], values["secret_id"])
        for values in default("google_secret_manager_secret_iam_member")
        if values["secret_id"] != "first-admin-password"
    }
    expected = {
        (_account(name), secret.lower().replace("_", "-"))
        for name, facts in _services().items()
        for secret in facts["secrets"]
    }
    assert expected == granted


def test_a_service_uses_its_own_key(default: Resources) -> None:
    """No service may unwrap the keys of another."""
    granted = {
        values["member"]: values["crypto_key_id"].rpartition("/")[2]
        for values in default("google_kms_crypto_key_iam_member")
        if values["member"].startswith("serviceAccount:svc-")
    }
    expected = {_account(name): f"service-{name.replace('_', '-')}" for name in _services()}
    assert expected == granted


def test_a_service_has_its_own_buckets(default: Resources) -> None:
    """Ledgers can be added to and read, never changed; no service has another's."""
    for values in default("google_storage_bucket_iam_member"):
        if values["bucket"].endswith("-packages"):
            assert "roles/storage.objectViewer" == values["role"]
            continue
        service = values["member"].removeprefix("serviceAccount:svc-").partition("@")[0]
        assert values["bucket"].startswith(f"dentalhelp-test-{service}-")
        if values["bucket"].endswith("-ledger"):
            assert values["role"] in {"roles/storage.objectCreator", "roles/storage.objectViewer"}


def test_rights_in_the_whole_project_are_narrowed(default: Resources) -> None:
    """What a service may do by the project's policy is limited to its own instances and views."""
    for values in default("google_project_iam_member"):
        if not values["member"].startswith("serviceAccount:svc-"):
            continue
        if values["role"].startswith("roles/telemetry."):
            continue  # writing figures is all these allow
        (condition,) = values["condition"]
        service = values["member"].removeprefix("serviceAccount:svc-").partition("@")[0]
        named = set(re.findall(r"(?:instances|databases)/([a-z0-9-]+)", condition["expression"]))
        shared = {"dentalhelp-europe-west1", "dentalhelp-us-central1"}
        assert named in (shared, {f"live-{service}"})


def test_an_instance_of_ones_own_is_closed_to_others(everything: Everything) -> None:
    """With an instance for each service, nobody may even connect to another's."""
    for run, kind, _, values in everything:
        if run != "one_instance_per_service" or kind != "google_project_iam_member":
            continue
        if values["role"].startswith("roles/cloudsql.") and "svc-" in values["member"]:
            service = values["member"].removeprefix("serviceAccount:svc-").partition("@")[0]
            named = re.findall(r"instances/([a-z0-9-]+)", values["condition"][0]["expression"])
            homes = [f"dentalhelp-{service}-{at}" for at in ("europe-west1", "us-central1")]
            assert homes == named


def test_only_pubsub_moves_dead_letters(default: Resources) -> None:
    """Pub/Sub's own account may publish to dead letters and acknowledge what it moved."""
    agent = "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    publishers = {
        values["member"]
        for values in default("google_pubsub_topic_iam_member")
        if values["topic"].endswith(".dead-letters")
    }
    takers = {values["member"] for values in default("google_pubsub_subscription_iam_member")}
    assert {agent} == publishers == takers
