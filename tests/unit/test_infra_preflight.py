"""Before the platform starts: what cannot work is said in one line."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from infra.local.files import write_private
from infra.local.keyring import Keyring
from infra.local.preflight import CannotStart, check_port, exclusive, free_port, read_port, writable


def test_a_port_in_use_is_named() -> None:
    """Somebody else's port is refused, with the way out."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotStart, match=f"Port {port} is in use"):
            check_port(port)


def test_a_free_port_is_free() -> None:
    """What free_port offers passes the check."""
    check_port(free_port())


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "", "8080.5", "٨"])
def test_a_port_must_be_a_port(text: str) -> None:
    """Anything but a TCP port's number is refused."""
    with pytest.raises(CannotStart, match="PORT must be"):
        read_port(text if text != "٨" else "٨٨٨٨٨٨")


def test_a_directory_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    """The data directory's fault is told with its path."""
    place = tmp_path / "data"
    place.touch()
    with pytest.raises(CannotStart, match="cannot be written"):
        writable(place)


def test_the_data_directory_is_for_its_owner(tmp_path: Path) -> None:
    """Secrets lie in it, so nobody else may enter."""
    writable(tmp_path / "new")
    assert 0o700 == stat.S_IMODE((tmp_path / "new").stat().st_mode)


def test_two_platforms_never_share_a_directory(tmp_path: Path) -> None:
    """The second is told who has it; after the first has gone it may have it."""
    with (
        exclusive(tmp_path, "http://127.0.0.1:1, process 7"),
        pytest.raises(CannotStart, match="process 7"),
        exclusive(tmp_path, "the second"),
    ):
        pass
    with exclusive(tmp_path, "the second"):
        assert "the second" == (tmp_path / "lock").read_text()


def test_a_private_file_is_whole_and_private(tmp_path: Path) -> None:
    """Replacing keeps the mode and leaves no draft behind."""
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert ("new", 0o600) == (file.read_text(), stat.S_IMODE(file.stat().st_mode))
    assert [file] == list(tmp_path.iterdir())


def test_keys_are_made_once(tmp_path: Path) -> None:
    """The second start finds the first one's keys, and adds a password for a new role only."""
    first = Keyring.open(tmp_path, ["auth"])
    second = Keyring.open(tmp_path, ["auth", "patient"])
    assert (first.kms_key, first.push_signing_key) == (second.kms_key, second.push_signing_key)
    assert first.passwords["auth"] == second.passwords["auth"]
    assert {"auth", "patient"} == set(second.passwords)
    assert 0o600 == stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode)


def test_two_platforms_have_nothing_in_common(tmp_path: Path) -> None:
    """No key or password is a default."""
    one, two = (Keyring.open(tmp_path, []) for tmp_path in (_made(tmp_path, n) for n in "ab"))
    assert one.kms_key != two.kms_key
    assert one.blind_index_key != two.blind_index_key
    assert one.push_signing_key != two.push_signing_key


def test_damaged_keys_are_never_replaced(tmp_path: Path) -> None:
    """New keys would make the data unreadable: that is for a person to decide."""
    (tmp_path / "secrets.json").write_text('{"kms_key": ')
    with pytest.raises(ValueError, match="damaged"):
        Keyring.open(tmp_path, [])
    assert '{"kms_key": ' == (tmp_path / "secrets.json").read_text()


def _made(parent: Path, name: str) -> Path:
    place = parent / name
    place.mkdir()
    return place
