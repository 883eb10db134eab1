"""Where the tools find the administrator's credentials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.client import NotThere, admin


def write(directory: Path, email: str) -> None:
    """The file as ``make run`` leaves it."""
    (directory / "admin.json").write_text(json.dumps({"email": email, "password": "p"}))


def test_the_file_is_where_the_platform_has_its_data(tmp_path: Path) -> None:
    """DATA leads to the file as it does for make run; ADMIN_FILE, where given, wins."""
    write(tmp_path, "data@example.com")
    (tmp_path / "other").mkdir()
    write(tmp_path / "other", "other@example.com")
    named = str(tmp_path / "other" / "admin.json")
    assert "data@example.com" == admin({"DATA": str(tmp_path)}).email
    assert "other@example.com" == admin({"DATA": str(tmp_path), "ADMIN_FILE": named}).email


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), ("[", "not an e-mail"), ('{"a": 1}', "not an e-mail")],
)
def test_what_cannot_be_read_is_one_line(content: str | None, reason: str, tmp_path: Path) -> None:
    """The line names the file once, why it cannot be read, and what to set."""
    file = tmp_path / "admin.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NotThere) as told:
        admin({"DATA": str(tmp_path)})
    line = str(told.value)
    assert (1, 1) == (len(line.splitlines()), line.count(str(file)))
    assert reason in line
    assert "DATA" in line
