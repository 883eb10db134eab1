"""Links without log-in: only what was made here is read, for its purpose, until it expires."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import links
from shared.clocks import clock
from shared.crypto import Vault
from shared.db import Database
from shared.errors import Gone, NotFound
from shared.testing import frozen

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def database(kit_db: Callable[[], str]) -> Database:
    """The kit's tables."""
    return Database(kit_db())


@pytest.fixture(scope="module")
def vault(database: Database) -> Vault:
    """The keys of one service."""
    return Vault(database)


def made(vault: Vault, purpose: str = "confirm") -> str:
    return links.make(vault, purpose, {"id": "7", "n": 1}, clock().now() + HOUR)


def test_a_link_gives_back_what_it_was_made_of(vault: Vault) -> None:
    """A token is read as often as one likes, and is fit for a URL's path."""
    token = made(vault)
    assert {"id": "7", "n": 1} == links.read(vault, "confirm", token)
    assert {"id": "7", "n": 1} == links.read(vault, "confirm", token)
    assert token.replace("-", "").replace("_", "").isalnum()


def test_a_link_hides_what_it_holds(vault: Vault) -> None:
    """Whoever finds a link learns nothing from it, and no two are alike."""
    who = "Zenobiella Quillfeather"
    one, other = (links.make(vault, "p", {"who": who}, clock().now() + HOUR) for _ in "ab")
    assert one != other
    assert who.encode() not in base64.urlsafe_b64decode(one + "===")


def test_a_link_expires(vault: Vault) -> None:
    """A link works until its last moment, and then says that it was one."""
    with frozen() as time:
        token = links.make(vault, "confirm", {}, time.now() + HOUR)
        time.advance(HOUR - timedelta(seconds=1))
        assert {} == links.read(vault, "confirm", token)
        time.advance(timedelta(seconds=2))
        with pytest.raises(Gone):
            links.read(vault, "confirm", token)


def test_a_link_is_for_one_purpose(vault: Vault) -> None:
    """What was made to confirm does not cancel."""
    with pytest.raises(NotFound):
        links.read(vault, "cancel", made(vault, "confirm"))


def test_only_links_are_read(vault: Vault) -> None:
    """What the vault sealed for something else of the same name is no link."""
    sealed = vault.seal("confirm", b'{"until": 99999999999, "data": {}}')
    with pytest.raises(NotFound):
        links.read(vault, "confirm", base64.urlsafe_b64encode(sealed).rstrip(b"=").decode())


def test_a_link_of_another_service_is_none(vault: Vault, kit_db: Callable[[], str]) -> None:
    """Each service reads only what its own key sealed."""
    stranger = Vault(Database(kit_db()))
    token = made(stranger)
    assert {"id": "7", "n": 1} == links.read(stranger, "confirm", token)
    with pytest.raises(NotFound):
        links.read(vault, "confirm", token)


def test_a_link_survives_a_new_service_key(database: Database, vault: Vault) -> None:
    """After the key was rotated older links work, also in another process."""
    before = made(vault)
    vault.rotate()
    after = made(vault)
    elsewhere = Vault(database.twin())
    for token in (before, after):
        assert {"id": "7", "n": 1} == links.read(vault, "confirm", token)
        assert {"id": "7", "n": 1} == links.read(elsewhere, "confirm", token)


@pytest.mark.parametrize("at", [0, 1, 4, 5, 20, -1])
def test_a_changed_byte_is_noticed(vault: Vault, at: int) -> None:
    """A link in which anything was changed is none: format, key version, nonce, text."""
    sealed = bytearray(base64.urlsafe_b64decode(made(vault) + "==="))
    sealed[at] ^= 0x41
    with pytest.raises(NotFound):
        links.read(vault, "confirm", base64.urlsafe_b64encode(sealed).rstrip(b"=").decode())


def test_a_key_version_that_no_database_can_hold_is_no_error(vault: Vault) -> None:
    """A forged key version beyond PostgreSQL's integers is answered like every other forgery."""
    sealed = b"\x01\xff\xff\xff\xff" + bytes(40)
    with pytest.raises(NotFound):
        links.read(vault, "confirm", base64.urlsafe_b64encode(sealed).rstrip(b"=").decode())


def test_a_link_has_one_spelling(vault: Vault) -> None:
    """Padding, blanks and other alphabets are refused, though base64 would let some pass."""
    token = made(vault)
    for other in (token + "=", token + "==", f" {token}", f"{token}\n", token + "A", ""):
        with pytest.raises(NotFound):
            links.read(vault, "confirm", other)


def test_a_link_has_room_for_little(vault: Vault) -> None:
    """What would not fit through mail clients is refused when it is made."""
    with pytest.raises(ValueError, match="too much"):
        links.make(vault, "p", {"text": "x" * 2000}, clock().now() + HOUR)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=100) | st.binary(max_size=90).map(lambda b: b.hex()))
def test_whatever_is_sent_is_answered(vault: Vault, text: str) -> None:
    """No text that somebody makes up is a link, and none breaks anything."""
    with pytest.raises(NotFound):
        links.read(vault, "confirm", text)
