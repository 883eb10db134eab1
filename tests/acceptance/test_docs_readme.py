"""The README's examples: its commands against a platform, its answers against the real ones."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from infra.chaos.ledgers import ledgers_of
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


# A second is enough on most machines. Here the page's "sleep 1" is as long as it must be.
_SLEEP = "sleep() { touch asked; while [ -e asked ]; do command sleep 0.05; done; }\n"
_PATIENCE = 300.0  # seconds


def _pasted(script: str, stack: Stack, place: Path) -> tuple[int | None, str, str]:
    """The exit code of ``script``, run in ``place``, and what it said on both outputs; where it
    sleeps it goes on when nothing is under way in the platform."""
    books = ledgers_of(stack)
    with subprocess.Popen(
        ["bash", "-eu", "-c", _SLEEP + script],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as shell:
        try:
            deadline = time.monotonic() + _PATIENCE
            while shell.poll() is None and time.monotonic() < deadline:
                if (place / "asked").exists():
                    books.settle(_PATIENCE, mails=False)
                    (place / "asked").unlink()
                time.sleep(0.05)
        finally:
            books.close()
            shell.kill()
        said, complained = shell.communicate()
    return shell.returncode, said, complained


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
        ended, said, complained = _pasted(here, stack, Path(directory))
    assert (0, "") == (ended, complained)
    answers = [json.loads(text) for text in said.split(_MARK) if text.strip()]
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
