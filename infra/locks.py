"""Are the locks what requirements*.in ask for, and free of any registry's address?

Needs no network: every requirement must be met by a pin, and every pin must have hashes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["faults", "main"]

_ROOT = Path(__file__).resolve().parents[1]
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)")


def faults(root: Path) -> list[str]:
    """What is wrong with the locks in ``root``, one line each."""
    found: list[str] = []
    own = [
        str(file.relative_to(root).with_suffix(""))
        for file in sorted(root.glob("functions/*/requirements.in"))
    ]
    apart = [file.stem for file in root.glob("requirements-checkov.in")]
    pins = {
        name: _pins(root / f"{name}.txt", found)
        for name in ("requirements", "requirements-dev", "requirements-bench", *apart, *own)
    }
    for name, locked in pins.items():
        for requirement in _wanted(root / f"{name}.in"):
            version = locked.get(canonicalize_name(requirement.name))
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                found.append(f"{name}.txt lacks {requirement}: make lock")
    for name in ("requirements", *own):
        for package, version in pins[name].items():
            if pins["requirements-dev"].get(package) != version:
                found.append(f"requirements-dev.txt has another {package} than {name}.txt")
    return found


def main() -> int:
    """Print the faults; the exit code."""
    found = faults(_ROOT)
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


def _wanted(path: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    wanted: list[Requirement] = []
    for line in filter(None, lines):
        if line.startswith("-r "):
            wanted += _wanted(path.parent / line[3:].strip())
        else:
            wanted.append(Requirement(line))
    return wanted


def _pins(path: Path, found: list[str]) -> dict[str, str]:
    pins: dict[str, str] = {}
    if "://" in path.read_text("utf-8"):
        found.append(f"{path.name} names a registry: make lock")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", path.read_text("utf-8"))
    for block in blocks:
        if pin := _PIN.match(block):
            pins[canonicalize_name(pin[1])] = pin[2]
            if "--hash=sha256:" not in block:
                found.append(f"{path.name} has no hash for {pin[1]}: make lock")
    return pins


if __name__ == "__main__":
    sys.exit(main())
