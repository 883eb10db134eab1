"""Make the group's first ADMIN: ``first_admin --email E --password-stdin``.

Prints ``created``, or ``exists`` when there is one already; running it again does no harm.
"""

from __future__ import annotations

import argparse
import sys

from pydantic import TypeAdapter, ValidationError

from functions.auth.service import accounts, staff
from shared.errors import Problem
from shared.types import Email

__all__ = ["main"]


def main() -> int:
    """0 when there is an ADMIN afterwards, 1 with one clear line when not."""
    parser = argparse.ArgumentParser(description="Make the group's first ADMIN.")
    parser.add_argument("--email", required=True)
    parser.add_argument("--password-stdin", action="store_true", required=True)
    given = parser.parse_args()
    password = sys.stdin.readline().rstrip("\n")
    try:
        email = TypeAdapter[str](Email).validate_python(given.email)
        accounts.check_password(password, email)
        made = staff.first_admin(email, password)
    except ValidationError:
        sys.stderr.write("--email is not an e-mail address\n")
        return 1
    except Problem as problem:
        sys.stderr.write(f"{problem.detail}\n")
        return 1
    sys.stdout.write("created\n" if made else "exists\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
