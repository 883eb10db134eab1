"""Every fault point stands somewhere, and is refused where it could harm."""

from __future__ import annotations

import re
from pathlib import Path

from shared.faults import POINTS

ROOT = Path(__file__).resolve().parents[2]


def test_every_point_is_passed_somewhere() -> None:
    """The registered points are those that the code passes, no more and no fewer."""
    passed = {
        name
        for folder in ("shared", "functions")
        for file in (ROOT / folder).rglob("*.py")
        if file.name != "faults.py"
        for name in re.findall(r'faults\.point\(\s*"([^"]+)"', file.read_text(encoding="utf-8"))
    }
    assert set(POINTS) == passed
