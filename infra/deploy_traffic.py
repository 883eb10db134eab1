"""``make move-traffic``: people, messages and schedules go to the other region, without Terraform.

While a region is away Terraform can neither read what is there nor go past it, and a move has to
take minutes. So gcloud is asked for exactly what Terraform would do, under the same names: with
``active_region`` set afterwards, its plan has nothing left to move.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from infra.deploy_cloud import Cloud
from infra.deploy_shell import Failed
from infra.manifest import TFVARS

__all__ = ["move", "moves"]

_AT_A_TIME = 8
Command = tuple[str, ...]


def move(cloud: Cloud, away: str, to: str) -> None:
    """Route to region ``to``, and no longer to ``away``. It may be repeated.

    What is asked of the region that is left may fail, when it is away. Raises Failed.
    """
    if away == to or not away or not to:
        raise Failed("Say both: make move-traffic FROM=europe-west1 TO=us-central1")
    number = cloud.number
    services = cloud.services
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        # First somebody answers, and only then does nobody ask there any more.
        _all(pool.map(lambda one: _route(cloud, one, away, to), _ids(services)))
        _all(pool.map(lambda one: cloud.gcloud_failed(*one), moves(cloud.project, number, to)))
        left = list(pool.map(lambda one: cloud.gcloud_failed(*one), _pauses(away)))
    if any(left):
        print(f"{away} does not answer: its schedules go on if it comes back, and change nothing.")
    print(f"{to} serves. Put active_region into terraform.tfvars before the next make deploy.")


def moves(project: str, number: str, to: str) -> Iterator[Command]:
    """What gcloud is asked: pushes and schedules of all services, to region ``to``."""
    facts = _facts()
    account = f"pushes@{project}.iam.gserviceaccount.com"
    listeners = {one["service"] for one in facts["subscriptions"].values()}
    subscriptions = {name: one["service"] for name, one in facts["subscriptions"].items()}
    subscriptions |= {f"{service}.dead-letters": service for service in listeners}
    for name, service in sorted(subscriptions.items()):
        url = f"https://{_id(service)}-events-{number}.{to}.run.app"
        yield (
            *("pubsub", "subscriptions", "modify-push-config", name),
            *(f"--push-endpoint={url}/", f"--push-auth-service-account={account}"),
            f"--push-auth-token-audience={url}",
        )
    for name in _schedules():
        yield ("scheduler", "jobs", "resume", name, f"--location={to}")


def _pauses(away: str) -> Iterator[Command]:
    for name in _schedules():
        yield ("scheduler", "jobs", "pause", name, f"--location={away}")


def _route(cloud: Cloud, service: str, away: str, to: str) -> str:
    """Let the load balancer send the service's calls to ``to`` alone; what failed."""
    found = cloud.gcloud_read(
        *("compute", "backend-services", "describe", service, "--global"),
        "--format=value(backends[].group)",
    )
    group = f"--network-endpoint-group={service}-http"
    for verb, region, wanted in (("add", to, True), ("remove", away, False)):
        if (f"/regions/{region}/" in found) is not wanted:
            failed = cloud.gcloud_failed(
                *("compute", "backend-services", f"{verb}-backend", service, "--global"),
                *(group, f"--network-endpoint-group-region={region}"),
            )
            if failed:
                return failed
    return ""


def _all(failures: Iterator[str]) -> None:
    if failed := [one for one in failures if one]:
        raise Failed("These did not work; repeat it:\n  " + "\n  ".join(failed))


def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(TFVARS.read_text("utf-8"))
    return facts


def _schedules() -> list[str]:
    return sorted(_id(name.replace(".", "-")) for name in _facts()["schedules"])


def _ids(services: dict[str, Any]) -> list[str]:
    return sorted(map(_id, services))


def _id(name: str) -> str:
    """As terraform/main.tf has it."""
    return name.replace("_", "-")
