"""What the job ``<service>-first-admin`` runs in the cloud, with the service's environment.

``python -m infra.deploy_first_admin SERVICE --email E`` with the password in FIRST_ADMIN_PASSWORD,
which the job has from Secret Manager: it appears in no argument, no log and no state.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Hand the password to the service's own command; its exit code."""
    parser = argparse.ArgumentParser(description="Make the group's first ADMIN.")
    parser.add_argument("service")
    parser.add_argument("--email", required=True)
    given = parser.parse_args(arguments)
    if not given.service.isidentifier():
        parser.error("SERVICE is the name of a service")
    module = f"functions.{given.service}.first_admin"
    done = subprocess.run(
        [sys.executable, "-m", module, "--email", given.email, "--password-stdin"],
        input=os.environ["FIRST_ADMIN_PASSWORD"] + "\n",
        text=True,
        check=False,
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
