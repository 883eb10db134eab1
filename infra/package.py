"""``make package``: one zip for each service, and one with the tools for the jobs in the cloud.

A zip holds exactly what its function needs: ``main.py``, the service, the kit, and the locked
packages it asks for. The same code gives the same bytes on every machine and every day, so the
name, which has the content's hash, changes when the content does: Terraform then deploys that
function, and only that. ``terraform/packages.auto.tfvars.json`` tells it the names.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.manifest import ROOT, service_names

__all__ = ["TOOLS", "contents", "main", "pack"]

TOOLS = "_tools"
_TFVARS = ROOT / "terraform" / "packages.auto.tfvars.json"
_FOLDER = ROOT / "build" / "packages"
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # zip knows nothing earlier
_READABLE = 0o644 << 16
_NOT_DEPLOYED = frozenset({"testing.py", "testing_bus.py", "bus_embedded.py"})
_LEFT_OUT = frozenset({".pyc", ".md", ".in"})
# What the jobs run: migrations, the first ADMIN, and what an operator may want beside the database.
_TOOLS = (
    *("__init__.py", "audit_verify.py", "deploy_database.py", "deploy_first_admin.py"),
    *("manifest.py", "migrate.py", "replay.py", "restored.py", "validate.py"),
)


def contents(name: str, root: Path = ROOT) -> dict[str, bytes]:
    """Path in the zip -> bytes, for service ``name`` or TOOLS."""
    services = service_names() if name == TOOLS else [name]
    found = dict(_tree(root / "shared", root))
    found["functions/__init__.py"] = (root / "functions" / "__init__.py").read_bytes()
    for service in services:
        own = dict(_tree(root / "functions" / service, root))
        # Only the jobs migrate: a new migration alone deploys no function.
        found |= {p: b for p, b in own.items() if name == TOOLS or "/migrations/" not in p}
    found["requirements.txt"] = _requirements(services, root)
    if name == TOOLS:
        for tool in _TOOLS:
            found[f"infra/{tool}"] = (root / "infra" / tool).read_bytes()
    else:
        # Cloud Functions looks for its targets here.
        found["main.py"] = f"from functions.{name}.main import events, http\n".encode()
    return dict(sorted(found.items()))


def pack(files: Mapping[str, bytes]) -> bytes:
    """The zip of ``files``: the same bytes for the same files, whoever makes it and when."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _EARLIEST)
            entry.external_attr = _READABLE
            entry.create_system = 3  # Unix, also where it is made on another system
            # Stored: compressors differ between versions, and there is not much to gain.
            archive.writestr(entry, files[path], compress_type=zipfile.ZIP_STORED)
    return buffer.getvalue()


def main() -> int:
    """Write the zips and their names; remove the zips of before."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    names: dict[str, str] = {}
    for service in (*service_names(), TOOLS):
        data = pack(contents(service))
        zipped = f"{service}-{hashlib.sha256(data).hexdigest()[:16]}.zip"
        names[service] = zipped
        (_FOLDER / zipped).write_bytes(data)
        print(f"  {zipped}  {len(data) // 1024} KiB")
    for old in _FOLDER.glob("*.zip"):
        if old.name not in names.values():
            old.unlink()
    _TFVARS.write_text(json.dumps({"packages": names}, indent=2) + "\n", encoding="utf-8")
    return 0


def _tree(folder: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        left_out = path.name in _NOT_DEPLOYED or path.suffix in _LEFT_OUT or path.is_dir()
        if not left_out and not path.name.startswith("."):
            yield path.relative_to(root).as_posix(), path.read_bytes()


def _requirements(services: list[str], root: Path) -> bytes:
    """The locked packages of all functions, and those of these services alone.

    A lock of a service's own repeats pins of the base where it needs them: each is named once.
    """
    texts = [(root / "requirements.txt").read_text("utf-8")]
    for service in services:
        own = root / "functions" / service / "requirements.txt"
        if own.exists():
            texts.append(own.read_text("utf-8"))
    pins: dict[str, str] = {}
    for text in texts:
        for pin, block in _pins(text):
            if pins.setdefault(pin, block) != block:
                raise ValueError(f"The locks disagree about {pin}: make lock")
    return "".join(pins[pin] for pin in sorted(pins)).encode()


def _pins(text: str) -> Iterator[tuple[str, str]]:
    """Package -> its pin with hashes, comments left out."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line.startswith(" ") and lines:
            yield _named(lines)
            lines = []
        lines.append(line)
    if lines:
        yield _named(lines)


def _named(lines: list[str]) -> tuple[str, str]:
    return lines[0].partition("==")[0].strip(), "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
