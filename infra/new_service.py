"""``make new-service NAME=x``: a service with one table, one event and two routes, ready to grow.

What it writes passes ``make check`` and its own tests, and answers after ``make run``.
"""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template

from infra.manifest import ROOT
from infra.templates import FILES

__all__ = ["BadName", "create", "main"]

# Roles and databases of the platform itself, and names that a URL or a test already uses.
_TAKEN = frozenset({"bus", "gdpr", "kit", "postgres", "saga", "shared", "infra", "tests", "static"})
_LONGEST = 30  # a subscription's name holds two of them


class BadName(Exception):
    """The name cannot be a service's; the message says why."""


def create(name: str, root: Path = ROOT) -> list[Path]:
    """Write the files of service ``name``; their paths. Raises BadName and touches nothing then."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > _LONGEST:
        raise BadName(
            f"NAME must be a word like inventory or lab_order (at most {_LONGEST} lower-case"
            f" letters, digits, single underscores), not {name!r}."
        )
    # Contracts may be there before their service is.
    if name in _TAKEN or keyword.iskeyword(name) or (root / "functions" / name).exists():
        raise BadName(f"The name {name} is taken.")
    words = name.split("_")
    values = {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "path": name.replace("_", "-"),
        "class_": "".join(word.capitalize() for word in words),
        "plain": name.replace("_", " "),
    }
    made: list[Path] = []
    for place, text in FILES.items():
        path = root / Template(place).substitute(values)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(values), encoding="utf-8")
        made.append(path)
    return made


def main(arguments: Sequence[str]) -> int:
    """Create the service named on the command line, and bring the generated files up to date."""
    name = arguments[0] if arguments else ""
    try:
        made = create(name)
    except BadName as fault:
        print(fault, file=sys.stderr)
        return 2
    from infra import manifest, readmes

    manifest.main([])
    readmes.main([])
    for path in made:
        print(f"  {path.relative_to(ROOT)}")
    print(f"Next: make check test, then make run and look at /docs/{name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
