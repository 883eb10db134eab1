"""One project in Google Cloud, by way of terraform and gcloud."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from infra.deploy_shell import Failed, Shell
from infra.manifest import ROOT, TFVARS

__all__ = ["Cloud"]

_TERRAFORM = ROOT / "terraform"
_PLAN = "next.tfplan"
# Terraform itself needs these to begin; it enables the others.
_FIRST_APIS = ("cloudresourcemanager", "serviceusage", "storage", "iam")
# Google's services whose own accounts get keys before they have done anything.
# What the variable protect protects.
_PROTECTED = (
    *("google_sql_database_instance.", "google_firestore_database.", "google_cloud_run_v2_job."),
    *("google_storage_bucket.packages", "google_storage_bucket.objects"),
)
# Commands that gcloud has not always had.
_NEWEST = ("sql users assign-roles", "sql instances switchover")
_AGENTS = ("sqladmin", "secretmanager", "pubsub")


@dataclass(frozen=True)
class Cloud:
    """The project of this environment: TF_VAR_project, or terraform/terraform.tfvars."""

    project: str
    shell: Shell
    tfvars: Sequence[str] = ()
    """Further files of variables, such as eu-only.tfvars."""

    @classmethod
    def of_environment(cls, shell: Shell, directory: Path = _TERRAFORM) -> Cloud:
        """Raises Failed when no project is named."""
        project = os.environ.get("TF_VAR_project", "")  # noqa: SIM112 -- Terraform's spelling
        named = directory / "terraform.tfvars"
        if not project and named.exists():
            found = re.search(r'^\s*project\s*=\s*"([^"]+)"', named.read_text("utf-8"), re.M)
            project = found[1] if found else ""
        if not project:
            raise Failed(
                "Name the project and its administrators in terraform/terraform.tfvars:\n"
                '  project        = "my-project"\n'
                '  administrators = ["group:operators@clinic.example"]'
            )
        return cls(project, shell, tuple(os.environ.get("TFVARS", "").split()))

    @cached_property
    def services(self) -> dict[str, Any]:
        """Service -> what the manifest says of it."""
        services: dict[str, Any] = json.loads(TFVARS.read_text("utf-8"))["services"]
        return services

    @property
    def secrets(self) -> list[str]:
        """The settings whose values are secret."""
        names = {name for facts in self.services.values() for name in facts["secrets"]}
        if any(facts["first_admin"] for facts in self.services.values()):
            names.add("FIRST_ADMIN_PASSWORD")
        return sorted(names)

    # Before Terraform

    def prepare(self) -> None:
        """What must be there before Terraform can begin. Raises Failed."""
        # Better now than after the databases have been made, which takes a quarter of an hour.
        for needed in _NEWEST:
            if not self.shell.works("gcloud", *needed.split(), "--help"):
                raise Failed(f"This gcloud does not know `{needed}`: gcloud components update")
        apis = [f"{name}.googleapis.com" for name in (*_FIRST_APIS, *_AGENTS)]
        self._gcloud("services", "enable", *apis)
        for agent in _AGENTS:
            service = f"--service={agent}.googleapis.com"
            self.shell.run(
                *("gcloud", "beta", "services", "identity", "create", service),
                *(f"--project={self.project}", "--quiet"),
            )
        self._gcloud("storage", "service-agent")
        bucket = f"gs://{self._state_bucket}"
        if not self.begun:
            self._gcloud(
                *("storage", "buckets", "create", bucket, "--location=EU"),
                *("--uniform-bucket-level-access", "--public-access-prevention"),
            )
            self._gcloud("storage", "buckets", "update", bucket, "--versioning")

    @property
    def begun(self) -> bool:
        """Is there a place for Terraform's state? Raises Failed."""
        bucket = f"gs://{self._state_bucket}"
        return self.shell.works("gcloud", "storage", "buckets", "describe", bucket)

    @property
    def _state_bucket(self) -> str:
        return f"{self.project}-terraform"

    # Terraform

    def init(self) -> None:
        """Find the state and the provider. Raises Failed."""
        backend = f"-backend-config=bucket={self._state_bucket}"
        self._terraform("init", "-input=false", backend)

    def plan(self, targets: Sequence[str]) -> None:
        """Plan, all or ``targets`` and what they rest on. Raises Failed."""
        chosen = [f"-target={target}" for target in targets]
        files = [f"-var-file={name}" for name in self.tfvars]
        self._terraform("plan", "-input=false", f"-out={_PLAN}", *files, *chosen)

    def planned(self) -> dict[str, Any]:
        """The last plan. Raises Failed."""
        found: dict[str, Any] = json.loads(self._asked("show", "-json", _PLAN))
        return found

    def apply(self) -> None:
        """Carry out the last plan. Raises Failed."""
        self._terraform("apply", "-input=false", _PLAN)

    def output(self, name: str) -> Any:
        """An output of the last apply. Raises Failed."""
        return json.loads(self._asked("output", "-json", name))

    def state(self) -> list[str]:
        """The addresses of all resources. Raises Failed."""
        return self._asked("state", "list").splitlines()

    def forget(self, addresses: Sequence[str]) -> None:
        """Leave these resources alone from now on. Raises Failed."""
        if addresses:
            self._terraform("state", "rm", *addresses)

    def unprotect(self) -> None:
        """Let databases, buckets, live views and jobs be deleted. Raises Failed."""
        files = [f"-var-file={name}" for name in self.tfvars]
        protected = [name for name in self.state() if any(kind in name for kind in _PROTECTED)]
        # These alone: whoever takes a platform down wants nothing of it deployed first.
        targets = [f"-target={name}" for name in protected]
        if targets:
            command = ("apply", "-input=false", "-auto-approve", "-var=protect=false")
            self._terraform(*command, *files, *targets)

    def destroy(self) -> None:
        """Delete what is left in the state, after Terraform has asked, too. Raises Failed."""
        files = [f"-var-file={name}" for name in self.tfvars]
        self._terraform("destroy", "-input=true", "-var=protect=false", *files)

    @cached_property
    def active_region(self) -> str:
        """The region that serves. Raises Failed."""
        files = [f"-var-file={name}" for name in self.tfvars]
        told = self.shell.read(
            "terraform",
            *("console", *files),
            directory=_TERRAFORM,
            given="local.active_region\n",
        )
        return told.strip().strip('"')

    # Beside Terraform

    def let_migrations_own(self) -> None:
        """Let the migrations' user own tables: the provider cannot say so. Raises Failed."""
        user = self.output("migrations_database_user")
        for instance in self._leaders():
            self._gcloud(
                *("sql", "users", "assign-roles", user, f"--instance={instance}"),
                *("--type=CLOUD_IAM_SERVICE_ACCOUNT", "--database-roles=cloudsqlsuperuser"),
            )

    def pair_for_disasters(self) -> None:
        """Name each instance's copy as the one to fail over to, where it is not. Raises Failed."""
        for leader, copy in self.output("disaster_recovery").items():
            told = self.gcloud_read("sql", "instances", "describe", leader, "--format=json")
            found = json.loads(told)
            if copy not in found.get("replicaNames", []):
                # After a failover, until the lost region is back: deployments go on meanwhile.
                print(f"{leader} is not copied to {copy}: docs/runbooks/failover.md, at its end.")
                continue
            paired = found.get("replicationCluster", {}).get("failoverDrReplicaName", "")
            if not paired.endswith(copy):
                patched = ("sql", "instances", "patch", leader)
                self._gcloud(*patched, f"--failover-dr-replica-name={copy}")

    def keep_logs_in_europe(self) -> None:
        """Switch off the sink that keeps logs anywhere: ours have a bucket. Raises Failed."""
        self._gcloud("logging", "sinks", "update", "_Default", "--disabled")

    def run_job(self, service: str, kind: str, arguments: Sequence[str] = ()) -> None:
        """Run a job and wait until it has ended well. Raises Failed."""
        name = f"{service}-{kind}".replace("_", "-")
        given = [f"--args={','.join(arguments)}"] if arguments else []
        region = f"--region={self.active_region}"
        self._gcloud("run", "jobs", "execute", name, region, "--wait", *given)

    def has_value(self, setting: str) -> bool:
        """Has the secret a version that can be read? Raises Failed."""
        listed = self.shell.read(
            *("gcloud", "secrets", "versions", "list", _secret(setting)),
            *("--filter=state:ENABLED", "--limit=1", "--format=value(name)"),
            f"--project={self.project}",
        )
        return bool(listed)

    def add_value(self, setting: str, value: str) -> str:
        """Add a version to the secret; its number. Raises Failed."""
        return self.shell.read(
            *("gcloud", "secrets", "versions", "add", _secret(setting), "--data-file=-"),
            *("--format=value(name.basename())", f"--project={self.project}"),
            given=value,
        )

    def destroy_value(self, setting: str, version: str) -> None:
        """Destroy a version of the secret. Raises Failed."""
        self._gcloud("secrets", "versions", "destroy", version, f"--secret={_secret(setting)}")

    def _leaders(self) -> list[str]:
        return list(self.output("instances"))

    @property
    def number(self) -> str:
        """The project's number. Raises Failed."""
        return self.shell.read(
            *("gcloud", "projects", "describe", self.project, "--format=value(projectNumber)")
        )

    def gcloud_read(self, *arguments: str) -> str:
        """What gcloud says of the project. Raises Failed."""
        return self.shell.read("gcloud", *arguments, f"--project={self.project}", "--quiet")

    def gcloud_failed(self, *arguments: str) -> str:
        """Ask gcloud for a change; what was asked if it failed, or nothing."""
        project = f"--project={self.project}"
        if self.shell.works("gcloud", *arguments, project, "--quiet"):
            return ""
        return " ".join(("gcloud", *arguments, project))

    def _gcloud(self, *arguments: str) -> None:
        self.shell.run("gcloud", *arguments, f"--project={self.project}", "--quiet")

    def _terraform(self, *arguments: str) -> None:
        self.shell.run("terraform", *arguments, directory=_TERRAFORM)

    def _asked(self, *arguments: str) -> str:
        return self.shell.read("terraform", *arguments, directory=_TERRAFORM)


def _secret(setting: str) -> str:
    """The secret's id, as terraform/modules/security/secrets.tf has it."""
    return setting.lower().replace("_", "-")
