"""``make plan``, ``deploy``, ``first-admin``, ``move-traffic``, ``destroy``: the order of things.

Terraform says what there is (terraform/), these commands say when: the state's bucket and Google's
own accounts come first, then keys and secrets, then databases, then migrations, and only then do
functions change. Every step may be repeated. docs/deploy.md explains it to a person.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from infra import package
from infra.deploy_cloud import Cloud
from infra.deploy_guard import changes, deletions, summary
from infra.deploy_secrets import fill, first_admin_password, forget
from infra.deploy_shell import Failed, Shell, ask
from infra.deploy_traffic import move

__all__ = ["deploy", "destroy", "first_admin", "main", "plan"]

_COMMANDS = ("plan", "deploy", "first-admin", "move-traffic", "destroy")
# What must be there before a secret has a value, and before a database can be migrated.
_FOUNDATION = ("module.security",)
_STORES = ("module.data", "module.service")
# What a destroy leaves: it would be refused (a lock on retention), or could not be repented: no
# backup is of use without the keys, that of the blind index among the secrets.
_LEFT = (
    *("google_kms_", "google_secret_manager_secret.secret"),
    *("google_logging_project_bucket_config", "google_storage_bucket.ledger"),
)


def plan(cloud: Cloud, targets: Sequence[str] = ()) -> bool:
    """Show what would change, and keep it as terraform/next.tfplan; whether anything would.

    Raises Failed when something would be deleted that holds people's data or their keys.
    """
    cloud.plan(targets)
    found = cloud.planned()
    print(summary(found))
    if lost := deletions(found):
        raise Failed("This plan would delete what cannot be brought back:\n  " + "\n  ".join(lost))
    return bool(changes(found))


def deploy(cloud: Cloud) -> None:
    """Everything, from an empty project or from the release before. Raises Failed."""
    package.main()
    cloud.prepare()
    cloud.init()
    _apply(cloud, _FOUNDATION)
    fill(cloud)
    jobs = f'module.region["{cloud.active_region}"].google_cloud_run_v2_job.job'
    _apply(cloud, (*_STORES, jobs))
    cloud.let_migrations_own()
    cloud.pair_for_disasters()
    for service in cloud.services:
        cloud.run_job(service, "migrate")
    _apply(cloud, ())
    cloud.keep_logs_in_europe()
    print(f"Deployed. {cloud.output('url')} answers once {cloud.output('address')} is its address.")


def _apply(cloud: Cloud, targets: Sequence[str]) -> None:
    if plan(cloud, targets):
        # Keys cost cents and meet nobody; the rest is for a person to decide.
        if targets != _FOUNDATION:
            ask("Apply this?", "yes")
        cloud.apply()


def first_admin(cloud: Cloud, email: str) -> None:
    """Make the group's first ADMIN; the password is asked for. Raises Failed."""
    cloud.init()
    (service,) = [name for name, facts in cloud.services.items() if facts["first_admin"]]
    version = first_admin_password(cloud)
    try:
        arguments = ("infra.deploy_first_admin", service, "--email", email)
        cloud.run_job(service, "first_admin", arguments)
    finally:
        forget(cloud, version)


def destroy(cloud: Cloud) -> None:
    """Take everything down but keys, ledgers and audit logs. Raises Failed."""
    print(
        "This deletes every database, live view and function of the platform, and everybody's"
        " records with them.\nKeys, secrets, the erasures' ledgers and audit logs stay, and can be"
        " removed with the project only."
    )
    ask(f"Type the project's name to go on ({cloud.project}):", cloud.project)
    package.main()  # Terraform reads the zips even to delete them
    cloud.init()
    cloud.unprotect()
    kept = [name for name in cloud.state() if any(part in name for part in _LEFT)]
    cloud.forget(kept)
    cloud.destroy()


def main(arguments: Sequence[str]) -> int:
    """0 when it is done, 1 with a line of why when it is not."""
    parser = argparse.ArgumentParser(description="Deploy to Google Cloud.")
    parser.add_argument("command", choices=_COMMANDS)
    parser.add_argument("--email", help="of the first ADMIN")
    parser.add_argument("--away", default="", help="the region that is left")
    parser.add_argument("--to", default="", help="the region that serves from now on")
    given = parser.parse_args(arguments)
    try:
        cloud = Cloud.of_environment(Shell())
        if given.command == "plan":
            if not cloud.begun:
                raise Failed("Nothing is there yet: make deploy shows each plan before it asks.")
            package.main()
            cloud.init()
            plan(cloud)
        elif given.command == "deploy":
            deploy(cloud)
        elif given.command == "move-traffic":
            move(cloud, given.away, given.to)
        elif given.command == "first-admin":
            if not given.email:
                raise Failed("Say who: make first-admin EMAIL=you@clinic.example")
            first_admin(cloud, given.email)
        else:
            destroy(cloud)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
