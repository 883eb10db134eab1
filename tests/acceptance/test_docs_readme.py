"""The README's examples: its commands against a platform, its answers against the real ones."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from infra.local.stack import Stack
from infra.manifest import service_names, summary

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(sh|json)\n(.*?)^```$", re.M | re.S)
_MARK = "\n--- next block ---\n"
# What differs from run to run: ids and moments.
_VARIES = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z")


def _alike(value: Any) -> Any:
    """``value`` with everything that differs from run to run replaced."""
    return json.loads(_VARIES.sub("...", json.dumps(value)))


def test_the_examples_are_what_happens() -> None:
    """Each command under "Try it", pasted into one shell, gives the answer shown below it."""
    part = README.partition("## Try it")[2].partition("\n## ")[0]
    blocks = _BLOCK.findall(part)
    commands = [text for kind, text in blocks if kind == "sh"]
    shown = [json.loads(text) for kind, text in blocks if kind == "json"]
    script = f"printf '%s' '{_MARK}'\n".join(commands)
    with (
        tempfile.TemporaryDirectory(prefix="dh-", ignore_cleanup_errors=True) as directory,
        Stack(Path(directory) / ".local") as stack,
    ):
        here = script.replace("http://127.0.0.1:8080", stack.url)
        ran = subprocess.run(
            ["bash", "-eu", "-c", here],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (0, "") == (ran.returncode, ran.stderr)
    answers = [json.loads(text) for text in ran.stdout.split(_MARK) if text.strip()]
    assert [_alike(each) for each in shown] == [_alike(each) for each in answers]


def test_every_service_stands_in_the_table() -> None:
    """The README lists the services that exist, and links their own pages."""
    listed = re.findall(r"^\| \[(\w+)\]\(functions/\1/README\.md\) \|", README, re.M)
    assert service_names() == sorted(listed)
    assert all(summary(name) for name in listed)


def test_links_lead_somewhere() -> None:
    """Every relative link in the repository's own pages is a file."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert [] == broken
