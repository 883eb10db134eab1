"""Where anything is, and how it is kept there."""

from __future__ import annotations

import re
from ipaddress import ip_network
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from infra.manifest import ROOT
from tests.terraform.conftest import Resources

_EU = {"EU", "eu", "europe", "eur3", "europe-west1", "europe-west4", "EUROPE-WEST1", "EUROPE-WEST4"}
_PLACES = {"location", "region", "location_id", "data_locations", "allowed_persistence_regions"}
Everything = list[tuple[str, str, str, dict[str, Any]]]


def _places(value: Any, name: str = "") -> set[str]:
    """Every place that is named anywhere in a resource's values."""
    if isinstance(value, dict):
        return set().union(*(_places(inner, key) for key, inner in value.items()))
    if isinstance(value, list):
        return set().union(*(_places(inner, name) for inner in value))
    return {value} if name in _PLACES and isinstance(value, str) and value else set()


@pytest.mark.parametrize(
    ("run", "further"),
    [
        ("default", {"us-central1"}),
        ("switched", {"us-central1"}),
        ("eu_only", set()),
        ("none", set()),
    ],
)
def test_everything_is_where_it_may_be(everything: Everything, run: str, further: set[str]) -> None:
    """Nothing is outside the EU but what is in the replica region, if that is."""
    found = {place for of, _, _, values in everything if of == run for place in _places(values)}
    assert {"europe-west1", "eur3"} < found
    assert set() == found - _EU - further


def test_the_example_of_the_eu_is_what_is_tested() -> None:
    """eu-only.tfvars and its test name the same region."""
    example = (ROOT / "terraform/eu-only.tfvars").read_text("utf-8")
    tested = (ROOT / "terraform/tests/eu_only.tftest.hcl").read_text("utf-8")
    pattern = r'^\s*replica_region\s*=\s*"([a-z0-9-]+)"'
    assert re.findall(pattern, example, re.M) == re.findall(pattern, tested, re.M)[:1]


def test_what_is_personal_in_the_replica_region_is_a_copy_of_databases(default: Resources) -> None:
    """Live views, objects, secrets and logs stay in the EU; the replica region has databases."""
    kept = default(
        *("google_firestore_database", "google_storage_bucket", "google_secret_manager_secret"),
        "google_logging_project_bucket_config",
    )
    assert set() == {place for values in kept for place in _places(values)} - _EU
    copies = [
        values["name"]
        for values in default("google_sql_database_instance")
        if values["region"] == "us-central1"
    ]
    assert ["dentalhelp-us-central1"] == copies


def test_databases_are_private_protected_and_backed_up(default: Resources) -> None:
    """No public address, TLS and connectors only, deletion refused twice, 30 days to go back."""
    for instance in default("google_sql_database_instance"):
        (settings,) = instance["settings"]
        (ip,) = settings["ip_configuration"]
        assert not ip["ipv4_enabled"]
        assert "REQUIRED" == settings["connector_enforcement"]
        assert instance["deletion_protection"]
        assert settings["deletion_protection_enabled"]
        assert instance["encryption_key_name"]
        flags = {flag["name"]: flag["value"] for flag in settings["database_flags"]}
        assert "on" == flags["cloudsql.iam_authentication"]
        assert {"30000", "10000"} == {
            flags[name]
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        }
    (home,) = (
        instance
        for instance in default("google_sql_database_instance")
        if instance["region"] == "europe-west1"
    )
    (backup,) = home["settings"][0]["backup_configuration"]
    assert ("02:00", 30, "eu") == (
        backup["start_time"],
        backup["transaction_log_retention_days"],
        backup["location"],
    )
    assert ("ENTERPRISE_PLUS", "REGIONAL") == (
        home["settings"][0]["edition"],
        home["settings"][0]["availability_type"],
    )


def test_a_switchover_moves_the_traffic_and_makes_no_instance_anew(
    everything: Everything,
) -> None:
    """Pushes and schedules go where the data is written. Who copies whom was swapped by gcloud, or
    cannot be while a region is lost: Terraform, to which another leader is another instance,
    leaves it alone."""
    switched: dict[str, list[dict[str, Any]]] = {}
    for run, kind, _, values in everything:
        if run == "switched":
            switched.setdefault(kind, []).append(values)
    instances = {one["region"]: one for one in switched["google_sql_database_instance"]}
    home, away = instances["europe-west1"], instances["us-central1"]
    assert "dentalhelp-europe-west1" == away["master_instance_name"]
    assert "dentalhelp-us-central1" != home["master_instance_name"]
    assert ([], 1) == (
        home["settings"][0]["backup_configuration"],
        len(away["settings"][0]["backup_configuration"]),
    )
    assert "REGIONAL" == away["settings"][0]["availability_type"]
    for subscription in switched["google_pubsub_subscription"]:
        assert ".us-central1.run.app/" in subscription["push_config"][0]["push_endpoint"]
    paused = {(job["region"], job["paused"]) for job in switched["google_cloud_scheduler_job"]}
    assert {("europe-west1", True), ("us-central1", False)} == paused


def test_a_second_apply_changes_nothing(runs: dict[str, Any]) -> None:
    """What has been applied once is planned again without a single change."""
    assert [] == runs["and_again"]["changes"]


def test_a_copy_for_reading_may_go(everything: Everything) -> None:
    """Copies for reading follow the leader to its region: nothing refuses to let them go there."""
    readers = [
        values
        for run, kind, address, values in everything
        if run == "one_instance_per_service"
        and kind == "google_sql_database_instance"
        and ".reader[" in address
    ]
    assert readers
    assert {(False, False)} == {
        (one["deletion_protection"], one["settings"][0]["deletion_protection_enabled"])
        for one in readers
    }


def test_instances_wait_only_where_they_are_called(everything: Everything) -> None:
    """With min_instances those of the active region are warm; a region that stands by has none."""
    waiting = {
        (values["location"], values["service_config"][0]["min_instance_count"])
        for run, kind, _, values in everything
        if run == "one_instance_per_service"
        and kind == "google_cloudfunctions2_function"
        and values["name"].endswith("-http")
    }
    assert {("europe-west1", 1), ("us-central1", 0)} == waiting


def test_the_databases_addresses_meet_no_others(default: Resources) -> None:
    """The ranges in the network are named, all of them, and are apart."""
    (databases,) = (
        one for one in default("google_compute_global_address") if one["name"] == "databases"
    )
    ranges = [ip_network(f"{databases['address']}/{databases['prefix_length']}")]
    ranges += [ip_network(one["ip_cidr_range"]) for one in default("google_vpc_access_connector")]
    assert 3 == len(ranges)
    assert not any(one.overlaps(other) for one, other in combinations(ranges, 2))


def test_pages_keep_a_policy_of_their_own(default: Resources) -> None:
    """The load balancer adds what every answer has; what scripts and styles a page may load only
    the service that wrote it knows."""
    for backend in default("google_compute_backend_service"):
        added = {header.partition(":")[0] for header in backend["custom_response_headers"]}
        assert {"Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options"} <= added
        assert "Content-Security-Policy" not in added


def test_buckets_are_closed(everything: Everything) -> None:
    """Rights are the bucket's alone, and nobody can make one public."""
    for _, kind, _, bucket in everything:
        if kind == "google_storage_bucket":
            assert bucket["uniform_bucket_level_access"]
            assert "enforced" == bucket["public_access_prevention"]
            assert bucket["encryption"][0]["default_kms_key_name"]
            assert not bucket["force_destroy"]


def test_ledgers_and_audit_logs_are_locked(default: Resources) -> None:
    """What proves something later cannot be shortened or deleted by anybody."""
    ledgers = [b for b in default("google_storage_bucket") if b["name"].endswith("-ledger")]
    assert ledgers
    assert {True} == {bucket["retention_policy"][0]["is_locked"] for bucket in ledgers}
    (audit,) = [
        bucket
        for bucket in default("google_logging_project_bucket_config")
        if bucket["bucket_id"] == "dentalhelp-audit"
    ]
    assert (True, 3650) == (audit["locked"], audit["retention_days"])


def test_messages_are_ordered_kept_and_never_dropped(default: Resources) -> None:
    """Each subscription is ordered, never expires, and parks what fails again and again."""
    for subscription in default("google_pubsub_subscription"):
        assert "" == subscription["expiration_policy"][0]["ttl"]
        if not subscription["name"].endswith(".dead-letters"):
            assert subscription["enable_message_ordering"]
            (policy,) = subscription["dead_letter_policy"]
            assert 5 <= policy["max_delivery_attempts"] <= 100
    for topic in default("google_pubsub_topic"):
        assert topic["message_storage_policy"][0]["enforce_in_transit"]


def test_no_secret_is_in_the_description() -> None:
    """Terraform never sees a value: no version of a secret and no password is its own."""
    text = "".join(p.read_text("utf-8") for p in Path(ROOT / "terraform").rglob("*.tf"))
    for resource in ("google_secret_manager_secret_version", "google_service_account_key"):
        assert f'resource "{resource}"' not in text
    assert not re.search(r"^\s*(root_)?password\s*=", text, re.M)
